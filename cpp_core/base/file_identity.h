// What a file is, as far as that shows without reading it.
#ifndef NEON_REDO_BASE_FILE_IDENTITY_H_
#define NEON_REDO_BASE_FILE_IDENTITY_H_

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/error.h"

namespace neon_redo {

// A change of its content changes `changed` as a rule (docs/ledger.md). Times: nanoseconds since 1970-01-01 UTC.
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;

  bool operator==(const FileIdentity&) const = default;
};

inline FileIdentity IdentityOf(const struct stat& st) {
  const auto nanoseconds = [](const struct timespec& time) {
    return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  return {st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size), nanoseconds(st.st_mtim),
          nanoseconds(st.st_ctim)};
}

// Nothing: there is no regular file of that name. Links are not followed at the name itself. kIo: it cannot be
// looked at.
inline Result<std::optional<FileIdentity>> LookAtFile(const std::string& path) {
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return FileError("stat file", path);
  }
  if (!S_ISREG(st.st_mode)) return std::nullopt;
  return IdentityOf(st);
}

// Two changes within so short a time may have the same time in the file system. Nanoseconds.
inline constexpr int64_t kYoung = 1'000'000'000;

inline int64_t NanosecondsNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Waits until what was changed then is no longer young. Returns at once if it is not, or if by another machine's
// clock it is in the future.
inline void AwaitAge(int64_t changed) {
  const int64_t wait = changed + kYoung - NanosecondsNow();
  if (wait <= 0 || wait > kYoung) return;
  std::this_thread::sleep_for(std::chrono::nanoseconds(wait + kYoung / 20));
}

// A file as it was before it was read, perhaps for long, to be compared with what lies there afterwards.
class FileBefore {
 public:
  // awaits_age: a young file is looked at once it no longer is.
  static Result<FileBefore> LookAt(const std::string& path, bool awaits_age);

  // kInvalidArgument: the file has changed since, or may have, for it was young.
  Status CheckSame() const;

 private:
  std::string path_;
  std::optional<FileIdentity> identity_;
  bool is_young_ = false;
};

inline Result<FileBefore> FileBefore::LookAt(const std::string& path, bool awaits_age) {
  FileBefore out;
  out.path_ = path;
  ASSIGN_OR_RETURN(out.identity_, LookAtFile(path));
  if (out.identity_ && awaits_age) {
    AwaitAge(out.identity_->changed);
    ASSIGN_OR_RETURN(out.identity_, LookAtFile(path));
  }
  // A time in the future is another machine's, and says nothing.
  const int64_t now = NanosecondsNow();
  out.is_young_ =
      out.identity_ && out.identity_->changed > now - kYoung && out.identity_->changed <= now;
  return out;
}

inline Status FileBefore::CheckSame() const {
  ASSIGN_OR_RETURN(const auto now, LookAtFile(path_));
  if (now == identity_ && !is_young_) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("file \"{}\" was changed {} it was opened: begin again", path_,
                               now == identity_ ? "less than a second before" : "after"));
}

}  // namespace neon_redo

#endif  // NEON_REDO_BASE_FILE_IDENTITY_H_
