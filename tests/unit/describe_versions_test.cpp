// Descriptions in the words of PostgreSQL 16 and later, of records built by hand: what a server
// seldom writes. Where a test server can be had, tests/integration/test_waldump.py compares real
// records.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>

#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/rmgr.h"
#include "tests/unit/described_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

const pg::Version& kPg16 = *pg::FindVersionByMajor(16);

std::string Described(const pg::Version& version, uint8_t rmid, uint8_t info,
                      const std::string& main, const std::string& block = {}) {
  return DescribedRecord(rmid, info, main, block, version).Operation();
}

// xl_heap_freeze_plan, since 17 xlhp_freeze_plan
std::string Plan(uint32_t xmax, uint16_t infomask2, uint16_t infomask, uint16_t tuples) {
  return Fields(xmax, infomask2, infomask, uint8_t{0}, uint8_t{0}, tuples);
}

std::string Numbers(std::initializer_list<uint16_t> numbers) {
  std::string out;
  for (const uint16_t number : numbers) out += Fields(number);
  return out;
}

TEST(DescribeVersions, HeapOf16) {
  for (const pg::Version* version : {&kPg16, &kPg17, &kPg18}) {
    const auto heap = [&](uint8_t info, const std::string& main) {
      return Described(*version, kRmHeap, info, main);
    };
    EXPECT_EQ(heap(0x80, Fields(uint16_t{3}, uint8_t{8})), "off: 3, flags: 0x08");
    const std::string lock = Fields(uint32_t{900}, uint16_t{7}, uint8_t{0x1f}, uint8_t{1});
    const std::string words =
        "xmax: 900, off: 7, infobits: [IS_MULTI, LOCK_ONLY, EXCL_LOCK, KEYSHR_LOCK, "
        "KEYS_UPDATED], flags: 0x01";
    EXPECT_EQ(heap(0x10, lock), words);
    EXPECT_EQ(heap(0x60, lock), words);
    EXPECT_EQ(Described(*version, kRmHeap2, 0x60, lock), words);
    const std::string update =
        Fields(uint32_t{900}, uint16_t{7}, uint8_t{0}, uint8_t{0x20}, uint32_t{901}, uint16_t{8});
    EXPECT_EQ(
        heap(0x40, update),
        "old_xmax: 900, old_off: 7, old_infobits: [], flags: 0x20, new_xmax: 901, new_off: 8");
    const std::string relations =
        Fields(uint32_t{5}, uint32_t{2}, uint32_t{3}, uint32_t{16400}, uint32_t{16403});
    EXPECT_EQ(heap(0x30, relations),
              "flags: [CASCADE, RESTART_SEQS], nrelids: 2, relids: [16400, 16403]");
    EXPECT_EQ(heap(0x30, Fields(uint32_t{5}, uint32_t{0}, uint32_t{0})),
              "flags: [], nrelids: 0, relids: []");
    EXPECT_EQ(heap(0x50, Numbers({9})), "off: 9");
  }
}

TEST(DescribeVersions, Heap2Of16) {
  for (const pg::Version* version : {&kPg16, &kPg17, &kPg18}) {
    const auto heap2 = [&](uint8_t info, const std::string& main, const std::string& block = {}) {
      return Described(*version, kRmHeap2, info, main, block);
    };
    EXPECT_EQ(heap2(0x40, Fields(uint32_t{900}, uint8_t{7})),
              "snapshotConflictHorizon: 900, flags: 0x07");
    const std::string insert = Fields(uint16_t{2}, uint16_t{2}) + Numbers({4, 6});
    EXPECT_EQ(heap2(0x50, insert, "tuples"), "ntuples: 2, flags: 0x02, offsets: [4, 6]");
    EXPECT_EQ(heap2(0x50, insert), "ntuples: 2, flags: 0x02");
    EXPECT_EQ(heap2(0xd0, Fields(uint16_t{2}, uint16_t{2}), "tuples"), "ntuples: 2, flags: 0x02");
    const std::string cid = Fields(uint32_t{900}, uint32_t{1}, uint32_t{2}, uint32_t{3},
                                   uint32_t{1663}, uint32_t{5}, uint32_t{1259}, uint16_t{1}) +
                            Numbers({7, 2});
    EXPECT_EQ(heap2(0x70, cid), "rel: 1663/5/1259, tid: 65543/2, cmin: 1, cmax: 2, combo: 3");
  }
}

TEST(DescribeVersions, PruneVacuumAndFreezePageOf16) {
  const std::string prune = Fields(uint32_t{900}, uint16_t{2}, uint16_t{1}, uint8_t{1});
  EXPECT_EQ(Described(kPg16, kRmHeap2, 0x10, prune, Numbers({1, 4, 5, 9, 10, 3, 7})),
            "snapshotConflictHorizon: 900, nredirected: 2, ndead: 1, isCatalogRel: T, nunused: 2, "
            "redirected: [1->4, 5->9], dead: [10], unused: [3, 7]");
  EXPECT_EQ(Described(kPg16, kRmHeap2, 0x10, prune),
            "snapshotConflictHorizon: 900, nredirected: 2, ndead: 1, isCatalogRel: T");
  EXPECT_EQ(Described(kPg16, kRmHeap2, 0x20, Numbers({2}), Numbers({3, 7})),
            "nunused: 2, unused: [3, 7]");
  const std::string freeze = Fields(uint32_t{900}, uint16_t{2}, uint8_t{0});
  EXPECT_EQ(
      Described(kPg16, kRmHeap2, 0x30, freeze,
                Plan(0, 3, 2816, 2) + Plan(7, 1, 256, 1) + Numbers({1, 2, 5})),
      "snapshotConflictHorizon: 900, nplans: 2, isCatalogRel: F, plans: [{ xmax: 0, infomask: "
      "2816, infomask2: 3, ntuples: 2, offsets: [1, 2] }, { xmax: 7, infomask: 256, infomask2: 1, "
      "ntuples: 1, offsets: [5] }]");
}

TEST(DescribeVersions, PruningAndFreezingOf17) {
  for (const pg::Version* version : {&kPg17, &kPg18}) {
    const auto prune = [&](uint8_t flags, const std::string& horizon, const std::string& block) {
      return Described(*version, kRmHeap2, 0x10, Fields(uint8_t{0}, flags) + horizon, block);
    };
    EXPECT_EQ(prune(0xfa, Fields(uint32_t{900}),
                    Numbers({1, 0}) + Plan(0, 3, 2816, 2) + Numbers({1, 4, 9}) + Numbers({1, 10}) +
                        Numbers({2, 3, 7}) + Numbers({5, 6})),
              "snapshotConflictHorizon: 900, isCatalogRel: T, nplans: 1, nredirected: 1, ndead: 1, "
              "nunused: 2, plans: [{ xmax: 0, infomask: 2816, infomask2: 3, ntuples: 2, offsets: "
              "[5, 6] }], redirected: [4->9], dead: [10], unused: [3, 7]");
    // The comma is the server's.
    EXPECT_EQ(prune(0x80, "", Numbers({1, 3})),
              ", isCatalogRel: F, nplans: 0, nredirected: 0, ndead: 0, nunused: 1, unused: [3]");
    EXPECT_EQ(prune(0x84, "", ""), ", isCatalogRel: F");
    EXPECT_EQ(prune(0x80, "", Numbers({2, 3})),
              ", isCatalogRel: F, nplans: 0, nredirected: 0, ndead: 0, nunused: 0 [malformed: 2 "
              "bytes of data are too few]");
  }
}

TEST(DescribeVersions, NamesOfHeap2) {
  EXPECT_STREQ(OperationName(kPg16, kRmHeap2, 0x10), "PRUNE");
  EXPECT_STREQ(OperationName(kPg16, kRmHeap2, 0x30), "FREEZE_PAGE");
  EXPECT_STREQ(OperationName(kPg17, kRmHeap2, 0x10), "PRUNE_ON_ACCESS");
  EXPECT_STREQ(OperationName(kPg17, kRmHeap2, 0x20), "PRUNE_VACUUM_SCAN");
  EXPECT_STREQ(OperationName(kPg18, kRmHeap2, 0x30), "PRUNE_VACUUM_CLEANUP");
  EXPECT_EQ(OperationName(kPg16, kRmXlog, 0xe0), nullptr);
  EXPECT_STREQ(OperationName(kPg17, kRmXlog, 0xe0), "CHECKPOINT_REDO");
}

// Messages of every kind, and one that is of none.
TEST(DescribeVersions, InplaceOf18HasInvalidations) {
  const auto message = [](int32_t id, uint32_t db, uint32_t object) {
    return Fields(id, db, object, uint32_t{0});
  };
  std::string messages = message(61, 5, 1) + message(-1, 5, 1259) + message(-2, 5, 16400);
  messages += message(-3, 0, 0) + message(-4, 5, 0) + message(-5, 5, 2396);
  messages += message(-6, 5, 16401) + message(-7, 0, 0);
  std::string main = Fields(uint16_t{4}, uint16_t{0}, uint32_t{5}, uint32_t{1663}, uint32_t{1});
  EXPECT_EQ(Described(kPg18, kRmHeap, 0x70, main + Fields(int32_t{0})), "off: 4");
  EXPECT_EQ(Described(kPg17, kRmHeap, 0x70, main + Fields(int32_t{8}) + messages), "off: 4");
  EXPECT_EQ(Described(kPg18, kRmHeap, 0x70, main + Fields(int32_t{8}) + messages),
            "off: 4; relcache init file inval dbid 5 tsid 1663; inval msgs: catcache 61 catalog "
            "1259 relcache 16400 smgr relmap db 5 snapshot 2396 relsync 16401 unrecognized id -7");
  // The kind is newer than 17.
  EXPECT_EQ(Described(kPg17, kRmXact, 0x60, Fields(int32_t{1}) + message(-6, 5, 16401)),
            "; inval msgs: unrecognized id -6");
  EXPECT_EQ(Described(kPg18, kRmHeap, 0x70, main + Fields(int32_t{-1})),
            "off: 4 [malformed: 20 bytes of data are too few]");
}

TEST(DescribeVersions, BtreeOf16) {
  for (const pg::Version* version : {&kPg16, &kPg17, &kPg18}) {
    const auto btree = [&](uint8_t info, const std::string& main, const std::string& block = {}) {
      return Described(*version, kRmBtree, info, main, block);
    };
    EXPECT_EQ(btree(0x00, Numbers({19})), "off: 19");
    EXPECT_EQ(btree(0x30, Fields(uint32_t{1}) + Numbers({2, 3, 4})),
              "level: 1, firstrightoff: 2, newitemoff: 3, postingoff: 4");
    EXPECT_EQ(btree(0x60, Numbers({5})), "nintervals: 5");
    const std::string items =
        Numbers({3, 9}) + Numbers({4, 8}) + Numbers({2, 0, 6}) + Numbers({1, 7});
    const std::string words =
        ", deleted: [3, 9], updated: [{ off: 4, nptids: 2, ptids: [0, 6] }, { off: 8, nptids: 1, "
        "ptids: [7] }]";
    EXPECT_EQ(btree(0xc0, Numbers({2, 2}), items), "ndeleted: 2, nupdated: 2" + words);
    EXPECT_EQ(btree(0xc0, Numbers({2, 2})), "ndeleted: 2, nupdated: 2");
    EXPECT_EQ(btree(0x70, Fields(uint32_t{900}) + Numbers({2, 2}) + "\1", items),
              "snapshotConflictHorizon: 900, ndeleted: 2, nupdated: 2, isCatalogRel: T" + words);
    EXPECT_EQ(btree(0x70, Fields(uint32_t{900}) + Numbers({1, 0, 0}), Numbers({3})),
              "snapshotConflictHorizon: 900, ndeleted: 1, nupdated: 0, isCatalogRel: F, deleted: "
              "[3], updated: []");
    EXPECT_EQ(btree(0xb0, Fields(uint32_t{9}, 1u, 2u, 3u, 4u)),
              "topparent: 4, leaf: 1, left: 2, right: 3");
    EXPECT_EQ(btree(0x80, Fields(1u, 2u, 0u, 0u, uint64_t{1} << 32 | 900, 4u, 5u, 6u)),
              "left: 1, right: 2, level: 0, safexid: 1:900, leafleft: 4, leafright: 5, "
              "leaftopparent: 6");
    EXPECT_EQ(btree(0xa0, Fields(3u, 1u)), "level: 1");
    EXPECT_EQ(btree(0xd0, Fields(1663u, 5u, 16400u, 7u, uint64_t{900}, uint8_t{0})),
              "rel: 1663/5/16400, snapshotConflictHorizon: 0:900, isCatalogRel: F");
    EXPECT_EQ(btree(0xe0, "", Fields(4u, 0u, 0u, 0u, 0u, 12u)), "last_cleanup_num_delpages: 12");
  }
}

TEST(DescribeVersions, ConflictsOfOtherIndexes) {
  for (const pg::Version* version : {&kPg16, &kPg17, &kPg18}) {
    EXPECT_EQ(Described(*version, kRmHash, 0xc0, Fields(900u) + Numbers({3, 1})),
              "ntuples 3, snapshotConflictHorizon 900, isCatalogRel T");
    EXPECT_EQ(Described(*version, kRmGist, 0x10, Fields(900u) + Numbers({3, 0})),
              "delete: snapshotConflictHorizon 900, nitems: 3, isCatalogRel F");
    EXPECT_EQ(Described(*version, kRmGist, 0x20,
                        Fields(1663u, 5u, 16400u, 7u, uint64_t{900}, uint8_t{1})),
              "rel 1663/5/16400; blk 7; snapshotConflictHorizon 0:900, isCatalogRel T");
    EXPECT_EQ(Described(*version, kRmSpgist, 0x80, Numbers({2, 5}) + Fields(900u, uint16_t{0})),
              "ntoplaceholder: 2, firstplaceholder: 5, snapshotConflictHorizon: 900, "
              "isCatalogRel: F");
  }
}

TEST(DescribeVersions, RunningTransactionsOf16) {
  const std::string main = Fields(2, 1, uint32_t{1}, 910u, 900u, 905u, 900u, 903u, 904u);
  const std::string words =
      "nextXid 910 latestCompletedXid 905 oldestRunningXid 900; 2 xacts: 900 903";
  EXPECT_EQ(Described(kPg15, kRmStandby, 0x10, main), words + "; subxid ovf");
  for (const pg::Version* version : {&kPg16, &kPg17, &kPg18}) {
    EXPECT_EQ(Described(*version, kRmStandby, 0x10, main),
              words + "; subxid overflowed; 1 subxacts: 904");
  }
}

TEST(DescribeVersions, WhatTheFormatSays) {
  setenv("TZ", "UTC", 1);
  tzset();
  // Statistics have longer identifiers since 18.
  const uint32_t dropped_stats = 1u << 8;
  const std::string start = Fields(int64_t{0}, dropped_stats, 1, 7, 5u);
  EXPECT_EQ(Described(kPg17, kRmXact, 0x80, start + Fields(16400u)),
            "2000-01-01 00:00:00.000000 UTC; dropped stats: 7/5/16400");
  EXPECT_EQ(Described(kPg18, kRmXact, 0x80, start + Fields(16400u, 2u)),
            "2000-01-01 00:00:00.000000 UTC; dropped stats: 7/5/8589950992");
  // Numbers of pages, too, since 17.
  EXPECT_EQ(Described(kPg16, kRmClog, 0x10, Fields(7, 900u, 5u)), "page 7; oldestXact 900");
  for (const pg::Version* version : {&kPg17, &kPg18}) {
    EXPECT_EQ(Described(*version, kRmClog, 0x00, Fields(int64_t{7})), "page 7");
    EXPECT_EQ(Described(*version, kRmClog, 0x10, Fields(int64_t{7}, 900u, 5u)),
              "page 7; oldestXact 900");
    EXPECT_EQ(Described(*version, kRmCommitTs, 0x00, Fields(int64_t{-1})), "-1");
    EXPECT_EQ(Described(*version, kRmCommitTs, 0x10, Fields(int64_t{7}, 900u)),
              "pageno 7, oldestXid 900");
    EXPECT_EQ(Described(*version, kRmMultiXact, 0x10, Fields(int64_t{7})), "7");
    EXPECT_EQ(Described(*version, kRmXlog, 0xe0, Fields(1)), "wal_level replica");
    EXPECT_EQ(Described(*version, kRmXlog, 0xe0, Fields(7)), "wal_level ?");
    EXPECT_EQ(Described(*version, kRmXlog, 0x90, Fields(int64_t{0}, 2u, 1u, 2, 0)),
              "tli 2; prev tli 1; time 2000-01-01 00:00:00.000000 UTC; wal_level logical");
  }
  const std::string checkpoint =
      Fields(uint64_t{0x1600000008}, 2u, 1u, 1u, 2u, uint64_t{900}, 16400u, 1u, 0u, 700u, 1u, 1u,
             1u, uint64_t{0}, 0u, 0u, 0u, 0u);
  EXPECT_EQ(
      Described(kPg18, kRmXlog, 0x00, checkpoint),
      "redo 16/8; tli 2; prev tli 1; fpw true; wal_level logical; xid 0:900; oid 16400; multi "
      "1; offset 0; oldest xid 700 in DB 1; oldest multi 1 in DB 1; oldest/newest commit "
      "timestamp xid: 0/0; oldest running xid 0; shutdown");
}

TEST(DescribeVersions, WhatIsNewIn19) {
  const auto described = [](uint8_t rmid, uint8_t info, const std::string& main,
                            const std::string& block = {}) {
    return Described(kPg19, rmid, info, main, block);
  };
  EXPECT_EQ(described(kRmXlog, 0x50, Fields(uint64_t{0x1600000008})), "16/00000008");
  EXPECT_EQ(described(kRmReplOrigin, 0x00, Fields(uint64_t{0x1600000008}, uint16_t{3}, uint8_t{1})),
            "set 3; lsn 16/00000008; force: 1");
  EXPECT_EQ(described(kRmXlog, 0xf0, "\1"), "true");
  EXPECT_STREQ(OperationName(kPg19, kRmXlog, 0xf0), "LOGICAL_DECODING_STATUS_CHANGE");
  EXPECT_STREQ(OperationName(kPg19, kRmXlog, 0xc0), "ASSIGN_LSN");
  // Its flags are longer, and there is no reason.
  EXPECT_EQ(described(kRmHeap2, 0x10, Fields(uint16_t{0x388}, 900u), Numbers({1, 3})),
            "snapshotConflictHorizon: 900, isCatalogRel: F, vm_flags: 0x03, nplans: 0, "
            "nredirected: 0, ndead: 0, nunused: 1, unused: [3]");
  EXPECT_EQ(described(kRmHeap2, 0x10, Fields(uint16_t{0x100})),
            ", isCatalogRel: F, vm_flags: 0x01");
  EXPECT_EQ(described(kRmHeap2, 0x50, Fields(uint16_t{0x20}, uint16_t{1}, uint16_t{4}), "tuple"),
            "ntuples: 1, flags: 0x20, vm_flags: 0x03, offsets: [4]");
  EXPECT_EQ(described(kRmHash, 0x00, Fields(2.5, 400u, uint16_t{75})),
            "num_tuples 2.5, procid 400, fillfactor 75");
  EXPECT_EQ(described(kRmHash, 0x40, Fields(5u, uint16_t{6}, uint16_t{7}, uint8_t{1})),
            "new_bucket 5, old_bucket_flag 6, new_bucket_flag 7, meta_page_masks_updated T, "
            "issplitpoint_changed F");
  EXPECT_EQ(described(kRmHash, 0x80, Fields(1u, 2u, uint16_t{3}, uint8_t{0}, uint8_t{1})),
            "prevblkno 1, nextblkno 2, ntups 3, is_primary F, is_previous T");
  const std::string meta = Fields(1663u, 5u, 16400u, 0u) + std::string(56, '\0');
  EXPECT_EQ(described(kRmGin, 0x60, meta + Fields(4u, 0xffffffffu, 2)), "ntuples: 2 prevTail: 4");
  EXPECT_EQ(described(kRmGin, 0x60, meta + Fields(0xffffffffu, 9u, 0)),
            "ntuples: 0 newRightlink: 9");
  EXPECT_EQ(described(kRmGin, 0x70, Fields(9u, 3)), "ntuples: 3 rightlink: 9");
  EXPECT_EQ(described(kRmMultiXact, 0x20, Fields(8u, 0u, uint64_t{5} << 32, 2, 900u, 0u, 901u, 5u)),
            "8 offset 21474836480 nmembers 2: 900 (keysh) 901 (upd) ");
  EXPECT_EQ(described(kRmMultiXact, 0x30, Fields(5u, 7u, uint64_t{5} << 32)),
            "oldestMulti 7, oldestOffset 21474836480");
  // And what stays as it was.
  EXPECT_EQ(Described(kPg18, kRmGin, 0x70, Fields(9u, 3)), "");
  EXPECT_EQ(Described(kPg18, kRmMultiXact, 0x30, Fields(5u, 1u, 2u, 3u, 4u)),
            "offsets [1, 2), members [3, 4)");
}

// A relation in another tablespace has the version in its path.
TEST(DescribeVersions, Paths) {
  const std::string create = Fields(16500u, 5u, 16400u, 1u);
  EXPECT_EQ(Described(kPg17, kRmSmgr, 0x10, create), "pg_tblspc/16500/PG_17_202406281/5/16400_fsm");
  EXPECT_EQ(Described(kPg18, kRmSmgr, 0x10, create), "pg_tblspc/16500/PG_18_202506291/5/16400_fsm");
}

}  // namespace
}  // namespace neon_redo
