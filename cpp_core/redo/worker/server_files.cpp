#include "cpp_core/redo/worker/server_files.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <string_view>

#include "cpp_core/base/file_descriptor.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/tested_version.h"

namespace neon_redo {

namespace {

// PG_BACKEND_VERSIONSTR (miscadmin.h), which postgres prints for --version.
constexpr std::string_view kServerText = "postgres (PostgreSQL) ";
constexpr std::string_view kModuleText = "neon_redo module for PostgreSQL ";
constexpr std::string_view kBindirText = ", bindir ";

// A file that is mapped for reading.
class MappedFile {
 public:
  explicit MappedFile(int fd, size_t size)
      : size_(size), data_(mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0)) {}
  ~MappedFile() {
    if (data_ != MAP_FAILED) munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const {
    return data_ == MAP_FAILED ? std::string_view()
                               : std::string_view(static_cast<const char*>(data_), size_);
  }

 private:
  size_t size_;
  void* data_;
};

// What follows the text, up to the end of the string or of the line.
std::string TextAfter(std::string_view bytes, std::string_view text) {
  const void* found = memmem(bytes.data(), bytes.size(), text.data(), text.size());
  if (found == nullptr) return "";
  const char* begin = static_cast<const char*>(found) + text.size();
  const std::string_view rest(begin, static_cast<size_t>(bytes.end() - begin));
  return std::string(rest.substr(0, rest.find_first_of(std::string_view("\0\n", 2))));
}

// The same in the file's constants: segments that are not written. Some linkers put constants and
// code into one segment.
std::string TextInConstants(std::string_view file, std::string_view text) {
  Elf64_Ehdr header;
  if (file.size() < sizeof(header)) return "";
  std::memcpy(&header, file.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "";
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const size_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    Elf64_Phdr segment;
    if (at > file.size() || file.size() - at < sizeof(segment)) return "";
    std::memcpy(&segment, file.data() + at, sizeof(segment));
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    if (segment.p_offset > file.size() || file.size() - segment.p_offset < segment.p_filesz)
      return "";
    std::string found = TextAfter(file.substr(segment.p_offset, segment.p_filesz), text);
    if (!found.empty()) return found;
  }
  return "";
}

// What was found in a file, as long as the file is the same.
struct Known {
  ino_t inode;
  off_t size;
  timespec changed;
  std::string text;
};

std::string TextInFile(const std::string& path, std::string_view text) {
  static std::mutex mutex;
  static std::map<std::string, Known, std::less<>> known_files;
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (!fd || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
  const std::lock_guard lock(mutex);
  Known& known = known_files[path];
  if (known.inode != status.st_ino || known.size != status.st_size ||
      known.changed.tv_sec != status.st_mtim.tv_sec ||
      known.changed.tv_nsec != status.st_mtim.tv_nsec) {
    const MappedFile file(fd.get(), static_cast<size_t>(status.st_size));
    known = {status.st_ino, status.st_size, status.st_mtim, TextInConstants(file.bytes(), text)};
  }
  return known.text;
}

int LeadingNumber(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string ProgramIn(const std::string& bindir) { return bindir + "/postgres"; }

// The one of the files that is of this version; else the first that does not say. Empty: none.
// option: what named the files, and two of the version are an error; null: they were found.
Result<std::string> Choose(const std::vector<std::string>& given, const pg::Version& version,
                           const char* option, int (*major_of)(const std::string&)) {
  std::string chosen;
  std::string silent;
  for (const std::string& one : given) {
    const int major = major_of(one);
    if (major == 0 && silent.empty()) silent = one;
    if (major != version.major) continue;
    if (!chosen.empty() && option == nullptr) continue;
    if (!chosen.empty())
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("{} names two for PostgreSQL {}: \"{}\" and \"{}\"", option,
                                   version.major, chosen, one));
    chosen = one;
  }
  return chosen.empty() ? silent : chosen;
}

// "DIR" is of PostgreSQL 15, "DIR" of PostgreSQL 17
std::string Majors(const std::vector<std::string>& given, int (*major_of)(const std::string&)) {
  std::string text;
  for (const std::string& one : given)
    text += fmt::format("{}\"{}\" {}of PostgreSQL {}", text.empty() ? "" : ", ", one,
                        text.empty() ? "is " : "", major_of(one));
  return text;
}

int MajorOfBindir(const std::string& bindir) { return MajorOfServer(ProgramIn(bindir)); }

// The bindir of the server that the module was built for; empty: the module does not say.
std::string BindirOfModule(const std::string& module) {
  const std::string text = TextInFile(module, kModuleText);
  const size_t begin = text.find(kBindirText);
  return begin == std::string::npos ? "" : text.substr(begin + kBindirText.size());
}

bool IsProgram(const std::string& bindir) { return access(ProgramIn(bindir).c_str(), X_OK) == 0; }

// The version with this number, which the file says. kUnsupported: none that is served.
Result<const pg::Version*> ServedVersion(int major, const std::string& file) {
  const pg::Version* version = pg::FindVersionByMajor(major);
  const std::string what = fmt::format("\"{}\"", file);
  if (version == nullptr)
    return MakeError(ErrorCode::kUnsupported,
                     fmt::format("{} is of PostgreSQL {}, which this program does not serve (it "
                                 "serves {})",
                                 what, major, pg::SupportedMajors()));
  RETURN_IF_ERROR(pg::CheckTested(*version, what));
  return version;
}

}  // namespace

std::vector<std::string> SplitPaths(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

int MajorOfServer(const std::string& program) {
  return LeadingNumber(TextInFile(program, kServerText));
}

int MajorOfModule(const std::string& module) {
  return LeadingNumber(TextInFile(module, kModuleText));
}

std::vector<std::string> UsualBindirs(const pg::Version& version) {
  std::vector<std::string> places;
  if (version.major == NEON_REDO_DEFAULT_MAJOR) places.push_back(NEON_REDO_DEFAULT_BINDIR);
  places.push_back(fmt::format("/usr/lib/postgresql/{}/bin", version.major));  // Debian
  places.push_back(fmt::format("/usr/pgsql-{}/bin", version.major));           // RPMs
  places.push_back("/usr/bin");                                                // Fedora
  places.push_back("/usr/local/pgsql/bin");                                    // make install
  return places;
}

Result<std::string> FindBindir(const std::string& bindirs, const std::string& modules,
                               const pg::Version& version) {
  const std::vector<std::string> given = SplitPaths(bindirs);
  if (given.empty()) {
    std::vector<std::string> places = UsualBindirs(version);
    for (const std::string& module : SplitPaths(modules)) {
      const std::string bindir = BindirOfModule(module);
      if (MajorOfModule(module) == version.major && !bindir.empty())
        places.insert(places.begin(), bindir);
    }
    for (const std::string& place : places)
      if (IsProgram(place) && MajorOfBindir(place) == version.major) return place;
    return MakeError(
        ErrorCode::kNotFound,
        fmt::format("there is no PostgreSQL {} server in {}: name the directory of its programs "
                    "with --bindir",
                    version.major, fmt::join(places, ", ")));
  }
  for (const std::string& bindir : given) {
    if (IsProgram(bindir)) continue;
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no server program \"{}\": name the directory of a "
                                 "PostgreSQL {} server's programs with --bindir",
                                 ProgramIn(bindir), version.major));
  }
  Result<std::string> chosen = Choose(given, version, "--bindir", MajorOfBindir);
  if (!chosen || !chosen->empty()) return chosen;
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("{}, and a server of PostgreSQL {} is needed: name the directory of "
                               "its programs with --bindir",
                               Majors(given, MajorOfBindir), version.major));
}

Result<std::string> FindModule(const std::string& modules, const pg::Version& version,
                               const std::string& bindir) {
  std::error_code error;
  std::vector<std::string> given = SplitPaths(modules);
  for (const std::string& one : given) {
    if (std::filesystem::is_regular_file(one, error)) continue;
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no module \"{}\": name a neon.so for PostgreSQL {} with "
                                 "--module",
                                 one, version.major));
  }
  const bool named = !given.empty();
  if (!named) {
    // pkglibdir is beside bindir in every packaging, and has a name of its own under some prefixes.
    for (const char* place :
         {"/../lib/neon.so", "/../lib/postgresql/neon.so", "/../lib64/pgsql/neon.so"}) {
      if (std::filesystem::is_regular_file(bindir + place, error))
        given.push_back(std::filesystem::path(bindir + place).lexically_normal());
    }
    if (given.empty()) return std::string();
  }
  Result<std::string> chosen = Choose(given, version, named ? "--module" : nullptr, MajorOfModule);
  if (!chosen || !chosen->empty()) return chosen;
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("{}, and a neon.so for PostgreSQL {} is needed: build one with "
                               "that server's pg_config, and name it with --module",
                               Majors(given, MajorOfModule), version.major));
}

Result<const pg::Version*> VersionOfFiles(const std::string& bindirs, const std::string& modules) {
  for (const std::string& module : SplitPaths(modules))
    if (const int major = MajorOfModule(module)) return ServedVersion(major, module);
  for (const std::string& bindir : SplitPaths(bindirs))
    if (const int major = MajorOfBindir(bindir)) return ServedVersion(major, bindir);
  return nullptr;
}

}  // namespace neon_redo
