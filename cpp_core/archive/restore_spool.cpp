// The shell that cleans up reads the session of each command from a socket, and an empty line once the
// command has ended. The stream ends with this process, even by SIGKILL. A handler of signals in a
// library would be in the way of the program's own.
#include "cpp_core/archive/restore_spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "cpp_core/archive/restore_command.h"
#include "cpp_core/archive/segment.h"
#include "cpp_core/archive/timeline_history.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"

namespace neon_redo {

namespace {

constexpr const char* kKeeper =
    "trap '' INT TERM HUP QUIT; group=; while read -r line; do group=$line; done;"
    " [ -z \"$group\" ] || kill -TERM \"-$group\"; rm -rf -- \"$1\";"
    " [ -z \"$group\" ] || { sleep 1; kill -KILL \"-$group\"; rm -rf -- \"$1\"; }";

constexpr std::chrono::seconds kTimeToEnd{1};
constexpr uint64_t kLargeSize = uint64_t{64} << 20;

// Characters that no shell takes for anything but themselves.
bool IsPlainPath(const std::string& path) {
  return path.starts_with('/') &&
         path.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "/._-+,:@") == std::string::npos;
}

// Of a file that the command brought.
Status CheckSize(const std::string& name, const std::string& path, const struct stat& st,
                 uint64_t size) {
  if (!S_ISREG(st.st_mode))
    return MakeError(ErrorCode::kCorrupt, fmt::format("file \"{}\" from the restore command is {}",
                                                      name, FileKindName(st)));
  if (static_cast<uint64_t>(st.st_size) == size) return {};
  const auto start = ReadFileStart(path);
  if (start && start->packing != Packing::kNone) return CompressedByCommand(name);
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("file \"{}\" from the restore command has wrong size: {} instead of {}", name,
                  st.st_size, size));
}

}  // namespace

tl::unexpected<Error> CompressedByCommand(const std::string& name) {
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("file \"{}\" from the restore command is no WAL segment: it is "
                               "compressed, and the command must decompress it",
                               name));
}

SpooledFile::~SpooledFile() { unlink(path_.c_str()); }

Result<std::shared_ptr<RestoreSpool>> RestoreSpool::Open(const std::string& command) {
  RETURN_IF_ERROR(ExpandRestoreCommand(command, "", ""));
  std::shared_ptr<RestoreSpool> out(new RestoreSpool(command));
  RETURN_IF_ERROR(out->Begin());
  return out;
}

Status RestoreSpool::Begin() {
  std::string path = WithoutSlash(TemporaryDirectory());
  if (!IsPlainPath(path))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("files of the restore command cannot be kept in \"{}\": the path "
                                 "would have to be quoted in the command; set TMPDIR to an "
                                 "absolute path of letters, digits and the characters /._-",
                                 path));
  path += "/neon_redo_restore.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return FileError("create directory", path);
  directory_ = path;
  int ends[2];
  const FileDescriptor nothing(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!nothing || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    Status failed = ErrnoError(errno, "could not prepare for the restore command");
    rmdir(directory_.c_str());
    return failed;
  }
  const FileDescriptor input(ends[0]);
  keeper_.Reset(ends[1]);
  const auto started = StartShell(kKeeper, directory_, input.get(), nothing.get());
  if (!started) {
    rmdir(directory_.c_str());
    return tl::unexpected(started.error());
  }
  keeper_pid_ = *started;
  try {
    thread_ = std::thread([this] { Work(); });
  } catch (const std::system_error&) {
    return MakeError(ErrorCode::kOutOfMemory, "could not start a thread for the restore command");
  }
  return {};
}

RestoreSpool::~RestoreSpool() {
  if (thread_.joinable()) {
    std::unique_lock lock(mutex_);
    is_ending_ = true;
    queue_.clear();
    changed_.notify_all();
    if (running_ != 0) kill(-running_, SIGTERM);
    changed_.wait_for(lock, kTimeToEnd, [this] { return has_ended_; });
    if (running_ != 0) kill(-running_, SIGKILL);
    lock.unlock();
    thread_.join();
  }
  entries_.clear();
  keeper_.Reset();
  while (keeper_pid_ != 0 && waitpid(keeper_pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// On the thread, without the lock.
Result<RestoreSpool::File> RestoreSpool::Run(const std::string& name, uint64_t size,
                                             uint64_t serial) {
  // A reader may still hold an earlier copy.
  auto file =
      std::make_shared<const SpooledFile>(fmt::format("{}/{}.{}", directory_, name, serial));
  const auto note = [this](pid_t pid) {
    const std::lock_guard lock(mutex_);
    running_ = pid;
    const std::string line = pid != 0 ? fmt::format("{}\n", pid) : "\n";
    // Without a reader nobody cleans up; that is no reason to stop.
    static_cast<void>(send(keeper_.get(), line.data(), line.size(), MSG_NOSIGNAL));
    if (pid != 0 && is_ending_) kill(-pid, SIGKILL);
  };
  ASSIGN_OR_RETURN(const Restored restored, RunRestoreCommand(command_, name, file->path(), note));
  if (restored == Restored::kNotThere) return File();
  struct stat st;
  if (stat(file->path().c_str(), &st) != 0) {
    if (errno != ENOENT) return FileError("examine file", file->path());
    return MakeError(ErrorCode::kIo,
                     fmt::format("could not fetch file \"{}\": the restore command \"{}\" ended "
                                 "with status 0, but did not make the file %p",
                                 name, command_));
  }
  if (size != 0) RETURN_IF_ERROR(CheckSize(name, file->path(), st, size));
  return File(file);
}

void RestoreSpool::Work() {
  std::unique_lock lock(mutex_);
  for (uint64_t serial = 1;; serial++) {
    changed_.wait(lock, [this] { return is_ending_ || !queue_.empty(); });
    if (is_ending_) break;
    const std::string name = queue_.front();
    queue_.pop_front();
    const uint64_t size = entries_.at(name).size;
    lock.unlock();
    Result<File> file = Run(name, size, serial);
    lock.lock();
    // What follows a file that is not there is not there either.
    if (!file || !*file) DropAhead();
    const auto at = entries_.find(name);
    // The answer may be another one when somebody asks for the file.
    if ((!file || !*file) && at->second.waiting == 0)
      entries_.erase(at);
    else
      at->second.file = std::move(file);
    DropOld(size > kLargeSize ? kMostLargeFiles : kMostFiles);
    changed_.notify_all();
  }
  has_ended_ = true;
  changed_.notify_all();
}

// Entries in work are neither in the queue nor do they have a file.
void RestoreSpool::Enqueue(const std::string& name, uint64_t size, bool is_wanted_now) {
  const auto [at, is_new] = entries_.try_emplace(name, Entry{size, 0});
  at->second.last_use = ++uses_;
  const auto queued = std::find(queue_.begin(), queue_.end(), name);
  if (!is_new && (queued == queue_.end() || !is_wanted_now)) return;
  if (queued != queue_.end()) queue_.erase(queued);
  if (is_wanted_now)
    queue_.push_front(name);
  else
    queue_.push_back(name);
}

void RestoreSpool::DropAhead() {
  std::erase_if(queue_, [this](const std::string& name) {
    const auto at = entries_.find(name);
    if (at->second.waiting > 0) return false;
    entries_.erase(at);
    return true;
  });
}

void RestoreSpool::DropOld(size_t most) {
  while (entries_.size() > most) {
    auto oldest = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at)
      if (at->second.file && at->second.waiting == 0 &&
          (oldest == entries_.end() || at->second.last_use < oldest->second.last_use))
        oldest = at;
    if (oldest == entries_.end()) return;
    entries_.erase(oldest);
  }
}

Result<RestoreSpool::File> RestoreSpool::Fetch(const std::string& name, uint64_t size,
                                               const std::vector<std::string>& ahead) {
  std::unique_lock lock(mutex_);
  // Of another place in the WAL.
  DropAhead();
  Enqueue(name, size, true);
  for (const std::string& next : ahead) Enqueue(next, size, false);
  changed_.notify_all();
  const auto at = entries_.find(name);
  at->second.waiting++;
  changed_.wait(lock, [&] { return at->second.file.has_value(); });
  Result<File> file = *at->second.file;
  if (--at->second.waiting == 0 && (!file || !*file)) entries_.erase(at);
  return file;
}

Result<std::optional<std::string>> RestoreSpool::ReadHistory(uint32_t timeline) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = histories_.find(timeline); known != histories_.end())
      return known->second;
  }
  ASSIGN_OR_RETURN(const File file, Fetch(FormatHistoryName(timeline), 0));
  std::optional<std::string> content;
  if (file) {
    ASSIGN_OR_RETURN(content, ReadHistoryFile(file->path()));
  }
  const std::lock_guard lock(mutex_);
  histories_[timeline] = content;
  return content;
}

}  // namespace neon_redo
