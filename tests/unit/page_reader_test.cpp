// What the page reader makes of relations that grow, are cut, dropped and copied.
#include "cpp_core/store/page_reader.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "cpp_core/pg/page.h"
#include "cpp_core/pg/page_name.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/slru.h"
#include "cpp_core/store/recorder.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Fields;
using testing::kRel;
using testing::RecordBuilder;

WorkerOptions OfPg15() {
  WorkerOptions options;
  options.version = &kPg15;
  return options;
}

// Records made by hand, at LSNs 100, 200, ….
class PageReaderTest : public ::testing::Test {
 protected:
  void Take(const RecordBuilder& builder) { records_.push_back(builder.Bytes()); }
  // XLOG_FPI: a page that has the byte everywhere after its header.
  void Image(uint32_t block, uint8_t byte) {
    std::vector<uint8_t> page(kBlockSize, byte);
    Take(RecordBuilder(kRmXlog, 0xb0).Image(0, block, page.data()));
  }
  void Truncate(uint32_t blocks, uint32_t flags = 7) {
    Take(RecordBuilder(kRmSmgr, 0x20)
             .Main(Fields().U32(blocks).U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(flags)));
  }
  Recorder Recorded(const PageKey& key) {
    Recorder recorder(key);
    Ingest ingest;
    ChangeList changes;
    RecordView view(kPg15);
    Lsn end;
    for (const std::vector<uint8_t>& bytes : records_) {
      end = end + 100;
      EXPECT_FALSE(view.Parse(bytes));
      EXPECT_FALSE(ingest.Take(view, &changes));
      recorder.Take(changes, view, {end, end, bytes});
    }
    return recorder;
  }
  Result<PageAt> Read(const PageKey& key, uint64_t lsn) {
    Recorder recorder = Recorded(key);
    return PageReader(&recorder, {}, OfPg15()).Read(key, Lsn(lsn));
  }
  // The byte of the page, or -1 when it cannot be had.
  int PageByte(uint32_t block, uint64_t lsn, uint32_t database = kRel.db) {
    const auto page = Read(PageKey::OfBlock({{kRel.spc, database, kRel.rel}, 0, block}), lsn);
    if (!page) return -1;
    EXPECT_LE(PageView(page->page.data()).lsn(), Lsn(lsn));
    return page->page[100];
  }

  std::vector<std::vector<uint8_t>> records_;
};

TEST_F(PageReaderTest, PagesAtEveryLsn) {
  Image(0, 1);  // 100
  Image(2, 2);  // 200
  Image(0, 3);  // 300
  Truncate(1);  // 400
  Image(2, 4);  // 500
  EXPECT_EQ(PageByte(0, 99), -1);
  EXPECT_EQ(PageByte(0, 100), 1);
  EXPECT_EQ(PageByte(0, 299), 1);
  EXPECT_EQ(PageByte(0, 9999), 3);
  EXPECT_EQ(PageByte(2, 399), 2);
  EXPECT_EQ(PageByte(2, 400), -1);
  EXPECT_EQ(PageByte(2, 500), 4);
}

// That a page was not there is an answer; that it cannot be had is an error.
TEST_F(PageReaderTest, AbsentOrNotToBeHad) {
  Image(0, 1);
  Truncate(0);  // 200
  const PageKey key = PageKey::OfBlock({kRel, 0, 0});
  Recorder recorder = Recorded(key);
  PageReader alone(&recorder, {}, OfPg15());
  EXPECT_FALSE(alone.ReadIfThere(key, Lsn(50)));
  EXPECT_TRUE(*alone.ReadIfThere(key, Lsn(100)));
  const auto cut = alone.ReadIfThere(key, Lsn(200));
  ASSERT_TRUE(cut);
  EXPECT_FALSE(*cut);
  EXPECT_NE(alone.absence().find("is not there: truncate_fork at 0/C8"), std::string::npos)
      << alone.absence();
  PageReader with_base(
      &recorder, [](const PageKey&, uint8_t*) { return false; }, OfPg15());
  const auto before = with_base.ReadIfThere(key, Lsn(50));
  ASSERT_TRUE(before);
  EXPECT_FALSE(*before);
}

TEST_F(PageReaderTest, DroppedAtCommitAndMadeAnew) {
  Image(0, 1);
  Take(RecordBuilder(kRmXact, 0x80)
           .Main(Fields().U64(0).U32(4).U32(1).U32(kRel.spc).U32(kRel.db).U32(kRel.rel)));  // 200
  Take(RecordBuilder(kRmSmgr, 0x10)
           .Main(Fields().U32(kRel.spc).U32(kRel.db).U32(kRel.rel).U32(0)));  // 300
  Image(0, 5);                                                                // 400
  EXPECT_EQ(PageByte(0, 199), 1);
  EXPECT_EQ(PageByte(0, 200), -1);
  EXPECT_EQ(PageByte(0, 400), 5);
}

TEST_F(PageReaderTest, CopiedDatabaseHasTheTemplatesPast) {
  const uint32_t copy = 77;
  Image(0, 1);  // 100
  Take(RecordBuilder(kRmDbase, 0x00)
           .Main(Fields().U32(copy).U32(kRel.spc).U32(kRel.db).U32(kRel.spc)));  // 200
  Image(0, 2);                                                                   // 300
  EXPECT_EQ(PageByte(0, 150, copy), -1);
  EXPECT_EQ(PageByte(0, 9999, copy), 1);
  EXPECT_EQ(PageByte(0, 9999), 2);
  Take(RecordBuilder(kRmDbase, 0x20).Main(Fields().U32(copy).U32(1).U32(kRel.spc)));  // 400
  EXPECT_EQ(PageByte(0, 399, copy), 1);
  EXPECT_EQ(PageByte(0, 400, copy), -1);
}

TEST_F(PageReaderTest, CopiesOfCopiesAreFollowedSoFar) {
  const uint32_t databases[] = {kRel.db, 77};
  Image(0, 1);
  for (int i = 0; i <= CopyChain::kMost; i++)  // to and fro
    Take(RecordBuilder(kRmDbase, 0x00)
             .Main(Fields()
                       .U32(databases[(i + 1) % 2])
                       .U32(kRel.spc)
                       .U32(databases[i % 2])
                       .U32(kRel.spc)));
  EXPECT_EQ(PageByte(0, 100 + 100 * CopyChain::kMost, kRel.db), 1);
  const auto page = Read(PageKey::OfBlock({{kRel.spc, 77, kRel.rel}, 0, 0}), 9999);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::kUnsupported);
}

TEST_F(PageReaderTest, SlruPages) {
  const auto read = [&](SlruKind kind, uint32_t segment, uint32_t block, uint64_t lsn) {
    return Read(PageKey::OfSlruBlock({kind, segment, block}), lsn);
  };
  Take(RecordBuilder(kRmClog, 0x00).Main(Fields().U32(32)));                 // 100
  Take(RecordBuilder(kRmXact, 0x00, 32 * 32768 + 5).Main(Fields().U64(0)));  // 200
  Take(RecordBuilder(kRmClog, 0x10).Main(Fields().U32(64).U32(0).U32(0)));   // 300
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 100)->page[1], 0);
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 200)->page[1], 1 << 2);
  EXPECT_EQ(read(SlruKind::kClog, 1, 0, 200)->page.size(), kBlockSize);
  EXPECT_FALSE(read(SlruKind::kClog, 1, 0, 300));
  Take(RecordBuilder(kRmMultiXact, 0x10).Main(Fields().U32(0)));  // 400
  Take(RecordBuilder(kRmMultiXact, 0x30)
           .Main(Fields().U32(1).U32(1).U32(1).U32(0).U32(kMembersPerPage * 32)));  // 500
  EXPECT_TRUE(read(SlruKind::kMultixactMembers, 0, 0, 499));
  EXPECT_FALSE(read(SlruKind::kMultixactMembers, 0, 0, 500));
}

TEST(PageName, Forms) {
  const auto key = [](const char* text) {
    const auto parsed = ParsePageName(text);
    return parsed ? parsed->ToString() : "";
  };
  const std::string main = PageKey::OfBlock({{1663, 5, 16384}, 0, 7}).ToString();
  EXPECT_EQ(key("base/5/16384/7"), main);
  EXPECT_EQ(key("1663/5/16384/7"), main);
  EXPECT_EQ(key(main.c_str()), main);
  EXPECT_EQ(key("base/5/16384_vm/0"), PageKey::OfBlock({{1663, 5, 16384}, 2, 0}).ToString());
  EXPECT_EQ(key("global/1262_fsm/1"), PageKey::OfBlock({{1664, 0, 1262}, 1, 1}).ToString());
  EXPECT_EQ(key("pg_tblspc/99/PG_15_202209061/5/6/1"),
            PageKey::OfBlock({{99, 5, 6}, 0, 1}).ToString());
  EXPECT_EQ(key("pg_xact/00AF/31"), PageKey::OfSlruBlock({SlruKind::kClog, 0xaf, 31}).ToString());
  EXPECT_EQ(key("pg_multixact/members/14078/0"),
            PageKey::OfSlruBlock({SlruKind::kMultixactMembers, 0x14078, 0}).ToString());
  for (const char* bad :
       {"", "7", "base/5/16384", "base/5/16384/", "base/5/x/7", "base/5/16384_main/0", "base/5/0/7",
        "pg_xact/0000/32", "pg_multixact/0000/1", "base/5/16384/-1", "base/5/16384/4294967295",
        "base/5/16384/99999999999", "/5/1/1"})
    EXPECT_EQ(key(bad), "") << bad;
}

}  // namespace
}  // namespace neon_redo
