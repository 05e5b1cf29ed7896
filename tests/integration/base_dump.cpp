// Writes what the reader of base backups makes of one, for test_bases.py:
//
//   base_dump PATH TARGET [--label L] [--stanza S] [--prior PATH]… [--cipher-pass-file F] [--spool DIR]
//
// Each file is read twice: by four threads in blocks without order, which is written below TARGET, and
// from front to back, which must be the same. Prints one JSON object: kind, files with their sizes (or
// what they are), directories, tablespaces, and bytes in the spool. Exit status: 0; 1 a file could not
// be read, or is another when read again; 2 the backup could not be opened.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/base/guard.h"

namespace neon_redo {
namespace {

constexpr uint64_t kBlock = 8192;
constexpr int kThreads = 4;

class Dumper {
 public:
  Dumper(const BaseBackup& backup, std::string target)
      : backup_(backup), target_(std::move(target)) {}

  int Run() {
    const auto listed = backup_.List();
    if (!listed) return Complain(listed.error());
    std::vector<std::pair<std::string, uint64_t>> files;
    for (const auto& [name, file] : listed->files)
      if (file.strange.empty()) files.emplace_back(name, file.size);
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++)
      threads.emplace_back([&] {
        for (size_t at; (at = next++) < files.size();) Dump(files[at].first, files[at].second);
      });
    for (std::thread& thread : threads) thread.join();
    Print(*listed);
    return failures_ == 0 ? 0 : 1;
  }

 private:
  void Dump(const std::string& name, uint64_t size) {
    const auto file = backup_.OpenFile(name);
    if (!file) return static_cast<void>(Complain(file.error()));
    std::vector<uint8_t> content(size);
    std::vector<uint64_t> blocks((size + kBlock - 1) / kBlock);
    std::iota(blocks.begin(), blocks.end(), 0);
    std::shuffle(blocks.begin(), blocks.end(), std::minstd_rand(1));
    for (const uint64_t block : blocks) {
      const uint64_t at = block * kBlock, wanted = std::min(kBlock, size - at);
      const auto got = (*file)->Read(at, {content.data() + at, wanted});
      if (!got) return static_cast<void>(Complain(got.error()));
      if (*got != wanted)
        return static_cast<void>(Complain({ErrorCode::kIo, name + " is shorter than its size"}));
    }
    const std::filesystem::path path = target_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(size));
    const auto stream = backup_.OpenStream(name);
    if (!stream) return static_cast<void>(Complain(stream.error()));
    std::vector<uint8_t> again(size + 1);
    const auto got = ReadFully(stream->get(), again);
    if (!got) return static_cast<void>(Complain(got.error()));
    if (*got != size || !std::equal(content.begin(), content.end(), again.begin()))
      Complain({ErrorCode::kIo, name + " is another from front to back"});
  }

  void Print(const BaseFiles& listed) const {
    nlohmann::json out{{"kind", backup_.kind()}, {"spooled", backup_.spooled()}};
    out["directories"] = listed.directories;
    out["files"] = nlohmann::json::object();
    for (const auto& [name, file] : listed.files) {
      if (file.strange.empty())
        out["files"][name] = file.size;
      else
        out["files"][name] = file.strange;
    }
    out["tablespaces"] = nlohmann::json::object();
    for (const auto& [oid, tablespace] : listed.tablespaces)
      out["tablespaces"][fmt::to_string(oid)] = {{"state", static_cast<int>(tablespace.state)},
                                                 {"target", tablespace.target}};
    if (const auto manifest = backup_.Manifest(); manifest && *manifest)
      out["manifest_files"] = (*manifest)->files.size();
    out["links"] = backup_.Links().size();
    fmt::print("{}\n", out.dump());
  }

  int Complain(const Error& error) {
    const std::lock_guard lock(mutex_);
    fmt::print(stderr, "{}: {}\n", ErrorCodeName(error.code), error.message);
    failures_++;
    return 2;
  }

  const BaseBackup& backup_;
  const std::string target_;
  std::mutex mutex_;
  int failures_ = 0;
};

int Main(int argc, char** argv) {
  if (argc < 3) return 2;
  BaseBackupOptions options;
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--prior")
      options.prior.emplace_back(argv[i + 1]);
    else
      (name == "--label"              ? options.label
       : name == "--stanza"           ? options.stanza
       : name == "--cipher-pass-file" ? options.cipher_pass_file
                                      : options.spool_directory) = argv[i + 1];
  }
  const auto backup = OpenBaseBackup(argv[1], options);
  if (backup) return Dumper(**backup, argv[2]).Run();
  fmt::print(stderr, "{}: {}\n", ErrorCodeName(backup.error().code), backup.error().message);
  return 2;
}

}  // namespace
}  // namespace neon_redo

int main(int argc, char** argv) {
  const auto status =
      neon_redo::Guarded([&]() -> neon_redo::Result<int> { return neon_redo::Main(argc, argv); });
  return status ? *status : 2;
}
