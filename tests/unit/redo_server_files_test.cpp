// Servers and modules of several versions, told apart by their files. The files are as an ELF file
// must be for that: a header, and a segment of constants with the text.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "cpp_core/redo/worker/command_line.h"
#include "cpp_core/redo/worker/server_files.h"
#include "neon_redo/manager.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;

class ServerFilesTest : public ::testing::Test {
 protected:
  ServerFilesTest() {
    char name[] = "/tmp/neon_redo_test.XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~ServerFilesTest() override { fs::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text, uint32_t flags = PF_R) {
    Elf64_Ehdr header = {};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_phoff = sizeof(header);
    header.e_phnum = 1;
    Elf64_Phdr segment = {};
    segment.p_type = PT_LOAD;
    segment.p_flags = flags;
    segment.p_offset = sizeof(header) + sizeof(segment);
    segment.p_filesz = text.size();
    const fs::path path = fs::path(directory_) / name;
    fs::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof(header));
    file.write(reinterpret_cast<const char*>(&segment), sizeof(segment));
    file << text;
    file.close();
    fs::permissions(path, fs::perms::owner_all);
    // The clock of files may stand still between two tests.
    fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(++written_));
    return path;
  }
  // Returns the bindir.
  std::string Server(const std::string& name, const std::string& version) {
    Write(name + "/bin/postgres",
          "x" + std::string("\0postgres (PostgreSQL) ", 23) + version + "\n");
    return directory_ + "/" + name + "/bin";
  }
  std::string Module(const std::string& name, const std::string& version,
                     const std::string& bindir = "/nonexistent") {
    return Write(name, "neon_redo module for PostgreSQL " + version +
                           ", control version 1300, catalog version 1, bindir " + bindir +
                           std::string(1, '\0') + "more");
  }

  std::string directory_;
  int written_ = 0;
};

TEST_F(ServerFilesTest, TheVersionIsReadFromTheConstants) {
  EXPECT_EQ(MajorOfServer(Server("a", "15.20 (Debian 15.20-0)") + "/postgres"), 15);
  EXPECT_EQ(MajorOfServer(Server("b", "19rc1") + "/postgres"), 19);
  EXPECT_EQ(MajorOfModule(Module("neon.so", "17")), 17);
  EXPECT_EQ(MajorOfServer(Write("data", "postgres (PostgreSQL) 15.1", PF_R | PF_W)), 0);
  // Some linkers put constants and code into one segment.
  EXPECT_EQ(MajorOfServer(Write("code", "postgres (PostgreSQL) 15.1", PF_R | PF_X)), 15);
  EXPECT_EQ(MajorOfServer(Write("silent", "no such text")), 0);
  EXPECT_EQ(MajorOfServer(directory_), 0);
  EXPECT_EQ(MajorOfServer(directory_ + "/nothing"), 0);
  // Cut short in every place.
  const std::string whole = Module("neon.so", "17");
  const auto size = fs::file_size(whole);
  for (uintmax_t length = 0; length < size; ++length) {
    fs::resize_file(whole, length);
    EXPECT_EQ(MajorOfModule(whole), 0) << length;
  }
}

TEST_F(ServerFilesTest, AFileThatWasReplacedIsReadAgain) {
  const std::string path = Module("neon.so", "15");
  EXPECT_EQ(MajorOfModule(path), 15);
  Module("neon.so", "17");
  EXPECT_EQ(MajorOfModule(path), 17);
}

TEST_F(ServerFilesTest, OfSeveralTheOneOfTheVersionIsChosen) {
  const std::string s15 = Server("15", "15.20");
  const std::string s17 = Server("17", "17.12");
  EXPECT_EQ(*FindBindir(s15 + ":" + s17, "", kPg15), s15);
  EXPECT_EQ(*FindBindir(s15 + ":" + s17, "", kPg17), s17);
  const std::string m15 = Module("m15/neon.so", "15");
  const std::string m17 = Module("m17/neon.so", "17");
  EXPECT_EQ(*FindModule(m15 + ":" + m17, kPg17, s17), m17);
  EXPECT_EQ(*VersionOfFiles("", m17 + ":" + m15), &kPg17);
  EXPECT_EQ(*VersionOfFiles(s15, m17), &kPg17);
  EXPECT_EQ(*VersionOfFiles(s15, ""), &kPg15);
  EXPECT_EQ(*VersionOfFiles("", ""), nullptr);

  const auto twice = FindBindir(s15 + ":" + s17 + ":" + Server("again", "15.2"), "", kPg15);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(twice.error().message.find("--bindir names two for PostgreSQL 15"), std::string::npos);
}

TEST_F(ServerFilesTest, AServerOrModuleOfAnotherVersionIsRefused) {
  const std::string s15 = Server("15", "15.20");
  const auto server = FindBindir(s15, "", kPg17);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(server.error().message,
            "\"" + s15 +
                "\" is of PostgreSQL 15, and a server of PostgreSQL 17 is needed: name the "
                "directory of its programs with --bindir");
  const std::string m15 = Module("neon.so", "15");
  const auto module = FindModule(m15, kPg17, s15);
  ASSERT_FALSE(module);
  EXPECT_NE(module.error().message.find("is of PostgreSQL 15, and a neon.so for PostgreSQL 17"),
            std::string::npos)
      << module.error().message;

  WorkerOptions options;
  options.bindir = s15;
  EXPECT_FALSE(CheckWorkerFiles(options, kPg17, Engine::kAuto));
  EXPECT_TRUE(CheckWorkerFiles(options, kPg17, Engine::kNative));
  EXPECT_TRUE(CheckWorkerFiles(options, kPg15, Engine::kWorker));
  options.command = "exec true";
  EXPECT_TRUE(CheckWorkerFiles(options, kPg17, Engine::kWorker));
}

// The server, or the module, may know better than this program.
TEST_F(ServerFilesTest, AFileThatDoesNotSayItsVersionIsTaken) {
  Write("fork/bin/postgres", "another text");
  EXPECT_EQ(*FindBindir(directory_ + "/fork/bin", "", kPg17), directory_ + "/fork/bin");
  const std::string silent = Write("silent.so", "no such text");
  EXPECT_EQ(*FindModule(silent, kPg17, ""), silent);
}

TEST_F(ServerFilesTest, AModuleThatIsNotThereIsRefused) {
  const std::string m17 = Module("neon.so", "17");
  for (const std::string& missing : {directory_ + "/none.so", directory_}) {
    const auto module = FindModule(m17 + ":" + missing, kPg17, "");
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(module.error().message, "there is no module \"" + missing +
                                          "\": name a neon.so for PostgreSQL 17 with --module");
  }
}

TEST_F(ServerFilesTest, TheInstalledModuleIsFoundBesideTheServer) {
  const std::string s17 = Server("17", "17.12");
  EXPECT_EQ(*FindModule("", kPg17, s17), "");
  const std::string installed = Module("17/lib/neon.so", "17");
  EXPECT_EQ(*FindModule("", kPg17, s17), installed);
  // Nobody named two, so the first is taken.
  Module("17/lib/postgresql/neon.so", "17");
  EXPECT_EQ(*FindModule("", kPg17, s17), installed);
  fs::remove(fs::path(directory_) / "17/lib/postgresql/neon.so");
  Module("17/lib/neon.so", "15");
  EXPECT_FALSE(FindModule("", kPg17, s17));
}

TEST_F(ServerFilesTest, TheServerThatTheModuleWasBuiltForIsFound) {
  const std::string s17 = Server("17", "17.12");
  const std::string m17 = Module("neon.so", "17", s17);
  EXPECT_EQ(*FindBindir("", m17, kPg17), s17);
  EXPECT_EQ(UsualBindirs(kPg17)[0], "/usr/lib/postgresql/17/bin");
}

// Before a page is rebuilt by the rules of another version.
TEST_F(ServerFilesTest, AManagerRefusesAModuleOfAnUntestedVersion) {
  ManagerOptions options;
  options.worker.module = Module("of_16/neon.so", "16");
  options.engine = Engine::kNative;
  RedoManager manager(options);
  EXPECT_EQ(manager.Ping().error().code, ErrorCode::kUnsupported);
  const auto page = manager.RequestRedo(PageRequest());
  ASSERT_FALSE(page);
  EXPECT_NE(page.error().message.find("is of PostgreSQL 16, which this program was not tested"),
            std::string::npos)
      << page.error().message;
}

}  // namespace
}  // namespace neon_redo
