// What the masks leave out although it is right in a page at rest.
#include "cpp_core/verify/at_rest.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/mask.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/rmgr.h"
#include "cpp_core/pg/special_area.h"

namespace neon_redo {
namespace {

namespace fs = std::filesystem;
using namespace pg::tuple;

constexpr uint32_t kCommitted = 700, kAborted = 701, kPrepared = 702;
constexpr uint32_t kTupleAt = 8000;

struct Page {
  alignas(8) uint8_t bytes[kBlockSize] = {};
};

// A heap page with one tuple that is inserted by one transaction and deleted by another.
Page Heap(uint32_t xmin, uint32_t xmax, uint16_t infomask, uint16_t flags = 0) {
  Page page;
  pg::SetLower(page.bytes, 28);
  pg::SetUpper(page.bytes, kTupleAt);
  pg::SetSpecial(page.bytes, kBlockSize);
  pg::SetSizeAndVersion(page.bytes, kPageSizeAndVersion);
  pg::SetFlags(page.bytes, flags);
  pg::Put32(page.bytes + 24, LinePointer::Of(kTupleAt, kLpNormal, 100).bits);
  uint8_t* tuple = page.bytes + kTupleAt;
  pg::Put32(tuple + kXmin, xmin);
  pg::Put32(tuple + kXmax, xmax);
  pg::PutItemPointer(tuple + kCtid, 0, 1);
  pg::Put16(tuple + kInfomask, infomask);
  tuple[kHoff] = 24;
  return page;
}

class AtRestTest : public ::testing::Test {
 protected:
  AtRestTest() {
    fs::create_directories(directory_ + "/pg_xact");
    std::string page(kBlockSize, '\0');
    page[kCommitted / 4] = 1 | 2 << 2;
    std::ofstream(directory_ + "/pg_xact/0000", std::ios::binary) << page;
  }
  ~AtRestTest() override { fs::remove_all(directory_); }

  // The offset of what is wrong in the page on disk.
  std::optional<uint32_t> Wrong(const Page& rebuilt, const Page& disk, bool decided = true,
                                uint8_t rmid = kRmHeap) {
    const auto found =
        DifferenceAtRest(rmid, rebuilt.bytes, disk.bytes, {decided, may_be_ahead_, &log_});
    return found ? std::optional(found->offset) : std::nullopt;
  }

  const std::string directory_ = ::testing::TempDir() + "at_rest";
  std::unique_ptr<BaseBackup> files_ = DataDirectory(directory_);
  CommitLog log_{*files_, 100, 1000};
  bool may_be_ahead_ = false;
};

TEST_F(AtRestTest, TheAllVisibleFlag) {
  const Page set = Heap(kCommitted, 0, 0, kPdAllVisible), clear = Heap(kCommitted, 0, 0);
  EXPECT_EQ(Wrong(set, clear), kPageFlagsAt);
  EXPECT_EQ(Wrong(clear, set), kPageFlagsAt);
  EXPECT_FALSE(Wrong(set, set));
  may_be_ahead_ = true;  // a crash leaves the flag without its record
  EXPECT_EQ(Wrong(set, clear), kPageFlagsAt);
  EXPECT_FALSE(Wrong(clear, set));
  EXPECT_TRUE(DifferenceAtRest(kRmHeap2, set.bytes, clear.bytes, {true, false, &log_})->is_old);
  EXPECT_FALSE(Wrong(Heap(kCommitted, 0, 0, kPdAllVisible | kPdHasFreeLines),
                     Heap(kCommitted, 0, 0, kPdAllVisible | kPdPageFull)));
}

TEST_F(AtRestTest, HintsOfWhatDidNotHappen) {
  constexpr uint32_t kAt = kTupleAt + kInfomask;
  constexpr uint16_t kInserted = 0x0100, kNotInserted = 0x0200;
  const auto wrong = [&](uint32_t xmin, uint32_t xmax, uint16_t bits, bool decided = true) {
    return Wrong(Heap(xmin, xmax, 0), Heap(xmin, xmax, bits), decided);
  };
  EXPECT_EQ(wrong(kCommitted, 0, kNotInserted), kAt);  // a live row is gone
  EXPECT_FALSE(wrong(kCommitted, 0, kInserted));
  EXPECT_EQ(wrong(kAborted, 0, kInserted), kAt);
  EXPECT_FALSE(wrong(kAborted, 0, kNotInserted));
  EXPECT_EQ(wrong(kPrepared, 0, kInserted), kAt);
  EXPECT_FALSE(wrong(kPrepared, 0, kInserted, false));          // it may have committed meanwhile
  EXPECT_EQ(wrong(kCommitted, kCommitted, kXmaxInvalid), kAt);  // a deleted row is back
  EXPECT_FALSE(wrong(kCommitted, kCommitted, kXmaxCommitted));
  EXPECT_EQ(wrong(kCommitted, kAborted, kXmaxCommitted), kAt);
  EXPECT_FALSE(wrong(kCommitted, kAborted, kXmaxInvalid));
  EXPECT_FALSE(wrong(50, 60, kXmaxCommitted | kInserted));  // pg_xact does not reach back
  EXPECT_FALSE(wrong(2000, 0, kNotInserted));
  // Who only locked the row may have committed.
  for (const uint16_t lock : {kXmaxLockOnly, kXmaxExclusiveLock, kXmaxIsMulti})
    EXPECT_FALSE(Wrong(Heap(kCommitted, kCommitted, lock),
                       Heap(kCommitted, kCommitted, lock | kXmaxInvalid)));
  // Hints that are lost do no harm, and frozen is no hint.
  EXPECT_FALSE(Wrong(Heap(kCommitted, 0, kInserted), Heap(kCommitted, 0, 0)));
  EXPECT_FALSE(Wrong(Heap(kAborted, 0, kXminFrozen), Heap(kAborted, 0, kXminFrozen)));
}

TEST_F(AtRestTest, FlagsOfTuplesThatAreNoHints) {
  for (const uint16_t flag : {kXmaxLockOnly, kXmaxExclusiveLock, kXmaxKeyShareLock, kXmaxIsMulti})
    EXPECT_EQ(Wrong(Heap(kCommitted, kCommitted, flag), Heap(kCommitted, kCommitted, 0)),
              kTupleAt + kInfomask);
  EXPECT_FALSE(Wrong(Heap(kCommitted, 0, kComboCid), Heap(kCommitted, 0, 0)));
  Page token = Heap(kCommitted, 0, 0);
  pg::Put16(token.bytes + kTupleAt + kCtid + 4, kSpeculativeToken);
  EXPECT_EQ(Wrong(Heap(kCommitted, 0, 0), token), kTupleAt + kCtid);
  token = Heap(kAborted, 0, 0);
  pg::Put16(token.bytes + kTupleAt + kCtid + 4, kSpeculativeToken);
  EXPECT_FALSE(Wrong(Heap(kAborted, 0, 0), token));
}

Page Sequence(int64_t value, int64_t calls_left, bool is_called) {
  Page page = Heap(2, 0, 0);
  uint8_t* data = page.bytes + kTupleAt + 24;
  std::memcpy(data, &value, 8);
  std::memcpy(data + 8, &calls_left, 8);
  data[16] = is_called;
  return page;
}

TEST_F(AtRestTest, StatesOfASequence) {
  const auto possible = [&](const Page& logged, const Page& now) {
    return !Wrong(logged, now, true, kRmSeq);
  };
  // nextval() has logged 33, and is at 1 with 32 calls left, …
  EXPECT_TRUE(possible(Sequence(33, 0, true), Sequence(1, 32, true)));
  EXPECT_TRUE(possible(Sequence(33, 0, true), Sequence(20, 13, true)));
  EXPECT_TRUE(possible(Sequence(33, 0, true), Sequence(33, 0, true)));
  EXPECT_TRUE(possible(Sequence(-330, 0, true), Sequence(-10, 32, true)));
  EXPECT_TRUE(possible(Sequence(INT64_MAX, 0, true), Sequence(INT64_MIN, 5, true)));
  // … but not back at the start, or at a value that no increment explains.
  EXPECT_FALSE(possible(Sequence(33, 0, true), Sequence(1, 0, false)));
  EXPECT_FALSE(possible(Sequence(33, 0, true), Sequence(1, 0, true)));
  EXPECT_FALSE(possible(Sequence(33, 0, true), Sequence(1, 33, true)));
  EXPECT_FALSE(possible(Sequence(33, 0, true), Sequence(1, 31, true)));
  EXPECT_FALSE(possible(Sequence(33, 0, true), Sequence(33, 1, true)));
  // The first call of all is logged.
  EXPECT_TRUE(possible(Sequence(1, 0, false), Sequence(1, 0, false)));
  EXPECT_FALSE(possible(Sequence(1, 0, false), Sequence(1, 32, true)));
  // From an image, which has the state of its time.
  EXPECT_TRUE(possible(Sequence(5, 28, true), Sequence(9, 24, true)));
  EXPECT_FALSE(possible(Sequence(5, 28, true), Sequence(4, 28, true)));
}

TEST_F(AtRestTest, MarksOfAGistSplit) {
  Page page;
  Page nsn = page, follow = page, garbage = page;
  uint8_t* special = nsn.bytes + kBlockSize - 16;
  special[pg::gist::kNsn] = 1;
  follow.bytes[kBlockSize - 16 + pg::gist::kFlags] = pg::gist::kFollowRight;
  garbage.bytes[kBlockSize - 16 + pg::gist::kFlags] = pg::gist::kHasGarbage;
  EXPECT_EQ(Wrong(page, nsn, true, kRmGist), kBlockSize - 16);
  EXPECT_EQ(Wrong(page, follow, true, kRmGist), kBlockSize - 16 + pg::gist::kFlags);
  EXPECT_FALSE(Wrong(page, garbage, true, kRmGist));
  EXPECT_FALSE(Wrong(page, follow, true, kRmBtree));
}

TEST_F(AtRestTest, WhatPgXactSays) {
  using Fate = CommitLog::Fate;
  EXPECT_EQ(log_.Of(kCommitted), Fate::kCommitted);
  EXPECT_EQ(log_.Of(kAborted), Fate::kAborted);
  EXPECT_EQ(log_.Of(kPrepared), Fate::kUndecided);
  EXPECT_EQ(log_.Of(99), Fate::kUnknown);
  EXPECT_EQ(log_.Of(1000), Fate::kUnknown);
  EXPECT_EQ(log_.Of(2), Fate::kUnknown);
  CommitLog wraps(*files_, 0xfffffff0, 800);
  EXPECT_EQ(wraps.Of(kCommitted), Fate::kCommitted);
  EXPECT_EQ(wraps.Of(0xfffffff5), Fate::kUnknown);  // its segment is not there
  EXPECT_EQ(wraps.Of(900), Fate::kUnknown);
}

}  // namespace
}  // namespace neon_redo
