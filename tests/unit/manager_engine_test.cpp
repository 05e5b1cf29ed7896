// Which records a manager applies itself and which it has a worker apply. The worker is
// manager_worker.cpp: what it answers tells what it was sent.
#include <gtest/gtest.h>

#include "cpp_core/pg/rmgr.h"
#include "tests/unit/manager_fixture.h"
#include "tests/unit/native_record.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using testing::Ask;
using testing::FakeWorkers;
using testing::Fields;
using testing::ManagerTest;
using testing::RecordBuilder;

constexpr uint8_t kFpi = 0xb0;
const BlockTag kTarget{testing::kRel, kMainFork, 3};

// Records for one block, and the requests that bring them.
class Story {
 public:
  Story& Insert(uint16_t offset, bool init = false) {
    Fields tuple;
    tuple.U16(1).U16(0x0802).U8(24).U8(0).Text("seven77");
    return Add(RecordBuilder(kRmHeap, init ? 0x80 : 0)
                   .Block(0, kTarget.block, tuple, init)
                   .Main(Fields().U16(offset).U8(0))
                   .Bytes(),
               init);
  }
  Story& Image(const PageImage& page) {
    return Add(RecordBuilder(kRmXlog, kFpi).Image(0, kTarget.block, page.data()).Bytes(), false);
  }
  // One that only a worker takes.
  Story& Strange(char command = '.') {
    std::vector<uint8_t> bytes(40, 'a');
    bytes[24] = static_cast<uint8_t>(command);
    return Add(std::move(bytes), false);
  }

  std::span<const PageRecord> records() {
    records_.clear();
    for (size_t i = 0; i < bytes_.size(); ++i) {
      records_.push_back({Lsn(8 * (i + 1)), PostgresRecord{init_[i], bytes_[i]}});
    }
    return records_;
  }
  PageRequest Request(Bytes base = {}) {
    PageRequest request;
    request.key = PageKey::OfBlock(kTarget);
    request.base_image = base;
    request.records = records();
    return request;
  }
  // The native engine's page.
  PageImage Native() {
    std::vector<RedoRecord> run;
    for (const PageRecord& record : records()) {
      run.push_back({record.lsn, std::get<PostgresRecord>(record.record).record});
    }
    PageImage page(kBlockSize);
    RecordView view(kPg15);
    EXPECT_EQ(ApplyNativeRun(kTarget, run, page.data(), false, &view, nullptr).applied, run.size());
    return page;
  }

 private:
  Story& Add(std::vector<uint8_t> bytes, bool init) {
    bytes_.push_back(std::move(bytes));
    init_.push_back(init);
    return *this;
  }

  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<bool> init_;
  std::vector<PageRecord> records_;
};

ManagerOptions With(Engine engine) {
  ManagerOptions options = FakeWorkers(1);
  options.engine = engine;
  return options;
}

using Ways = std::array<uint64_t, kRecordWays>;

Ways WaysOf(const RedoManager& manager, const std::string& operation) {
  Ways ways{};
  for (const RecordKindCounts& kind : manager.status().records) {
    if (kind.operation != operation) continue;
    for (size_t way = 0; way < kRecordWays; ++way) ways[way] += kind.counts[way];
  }
  return ways;
}

TEST_F(ManagerTest, SupportedRecordsNeedNoWorker) {
  for (const Engine engine : {Engine::kAuto, Engine::kNative}) {
    RedoManager manager(With(engine));
    Story story;
    story.Insert(1, true).Insert(2).Insert(3);
    const PageRequest request = story.Request();
    const PageImage expected = story.Native();
    EXPECT_EQ(*manager.RequestRedo(request), expected);
    for (const auto& page : manager.RequestRedoBatch({{request, request}})) {
      EXPECT_EQ(*page, expected);
    }
    bool called = false;
    manager.RequestRedoAsync(request, [&](Result<PageImage> page) {
      EXPECT_EQ(*page, expected);
      called = true;
    });
    EXPECT_TRUE(called) << "before the call returns";
    EXPECT_EQ(manager.status().launches, 0u);
    EXPECT_EQ(WaysOf(manager, "INSERT+INIT"), (Ways{4, 0, 0, 0}));
    EXPECT_EQ(WaysOf(manager, "INSERT"), (Ways{8, 0, 0, 0}));
  }
}

TEST_F(ManagerTest, TheBaseImageIsLeftAsItWas) {
  RedoManager manager(With(Engine::kAuto));
  const PageImage base = Story().Insert(1, true).Native();
  const PageImage copy = base;
  Story story;
  story.Strange().Insert(2);
  ASSERT_TRUE(manager.RequestRedo(story.Request(base)));
  Story inserts;
  inserts.Insert(1, true).Insert(2);
  EXPECT_EQ(*manager.RequestRedo(inserts.Request(base)), inserts.Native());
  EXPECT_EQ(base, copy);
}

TEST_F(ManagerTest, OneWayToAWorkerForAllUnsupportedRecords) {
  RedoManager manager(With(Engine::kAuto));
  const PageImage image = Story().Insert(1, true).Insert(2).Native();
  Story story;
  story.Insert(1, true).Insert(2).Strange().Insert(3).Strange().Image(image).Insert(3);
  const PageRequest request = story.Request();
  // What the worker makes does not matter behind the image.
  PageImage expected = image;
  Story tail;
  tail.Insert(1, true).Insert(2).Insert(3);
  expected = tail.Native();
  expected[4] = 7 * 8;  // the LSN
  EXPECT_EQ(*manager.RequestRedo(request), expected);
  EXPECT_EQ(manager.status().workers.at(0).answers, 1u);
  EXPECT_EQ(WaysOf(manager, "INSERT+INIT"), (Ways{1, 0, 0, 0}));
  EXPECT_EQ(WaysOf(manager, "INSERT"), (Ways{2, 0, 0, 1}));
  EXPECT_EQ(WaysOf(manager, "FPI"), (Ways{1, 0, 0, 0}));
}

TEST_F(ManagerTest, TheWorkerGetsThePageOfTheRunBefore) {
  RedoManager manager(With(Engine::kAuto));
  Story story;
  story.Insert(1, true).Insert(2).Strange().Insert(3).Strange();
  const PageImage before = Story().Insert(1, true).Insert(2).Native();
  EXPECT_EQ(*manager.RequestRedo(story.Request()),
            Ask::PageOf(kTarget, before, story.records().subspan(2)));
  // A page of zeroes is no page to push.
  Story none;
  none.Strange();
  PageRequest request = none.Request();
  std::vector<PageRecord> records(request.records.begin(), request.records.end());
  std::get<PostgresRecord>(records[0].record).will_init = true;
  request.records = records;
  EXPECT_EQ(*manager.RequestRedo(request), Ask::PageOf(kTarget, {}, records));
}

TEST_F(ManagerTest, WhatTheEngineRefusesAWorkerDoesFromTheBase) {
  RedoManager manager(With(Engine::kAuto));
  const PageImage base = Story().Insert(1, true).Native();
  Story story;
  story.Strange().Strange().Insert(2).Insert(3);
  // The first way of these two gives a page that is none; no insert fits it.
  story.Insert(9);
  EXPECT_EQ(*manager.RequestRedo(story.Request(base)), Ask::PageOf(kTarget, base, story.records()));
  Story bad;
  bad.Insert(1, true).Insert(2).Insert(9).Insert(3);
  EXPECT_EQ(*manager.RequestRedo(bad.Request(base)), Ask::PageOf(kTarget, base, bad.records()));
  EXPECT_EQ(manager.status().worker_failures, 0u);
  const Ways inserts = WaysOf(manager, "INSERT");
  EXPECT_EQ(inserts[static_cast<size_t>(RecordWay::kNative)], 1u);
  EXPECT_EQ(inserts[static_cast<size_t>(RecordWay::kRefused)], 2u);
  EXPECT_EQ(inserts[static_cast<size_t>(RecordWay::kAlong)], 6u);
}

TEST_F(ManagerTest, TheNativeEngineAloneSaysWhatItLeaves) {
  RedoManager manager(With(Engine::kNative));
  const PageImage base = Story().Insert(1, true).Native();
  Story strange;
  strange.Insert(2).Strange();
  const auto unsupported = manager.RequestRedo(strange.Request(Bytes(base)));
  ASSERT_FALSE(unsupported);
  EXPECT_EQ(unsupported.error().code, ErrorCode::kUnsupported) << unsupported.error().message;
  EXPECT_NE(unsupported.error().message.find("the record at 0/10"), std::string::npos)
      << unsupported.error().message;
  Story bad;
  bad.Insert(1, true).Insert(9);
  EXPECT_EQ(manager.RequestRedo(bad.Request()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(manager.status().launches, 0u);
}

TEST_F(ManagerTest, WorkersAloneWhenAsked) {
  RedoManager manager(With(Engine::kWorker));
  Story story;
  story.Insert(1, true).Insert(2);
  EXPECT_EQ(*manager.RequestRedo(story.Request()), Ask::PageOf(kTarget, {}, story.records()));
  EXPECT_EQ(WaysOf(manager, "INSERT"), (Ways{0, 0, 0, 1}));
  EXPECT_EQ(manager.status().launches, 1u);
}

}  // namespace
}  // namespace neon_redo
