// Copies of records, and what they do to the blocks of one partition.
//
// The records stand one after the other, each after its LSNs and length. Many batches are filled side
// by side, and each place that is written to is a line of the processor's cache to be fetched. So
// there are few such places, and the next lines are asked for ahead of time. Otherwise the thread
// that reads the WAL would wait for them at its next load that meets two stores on their way (a
// struct copied whole after its members were set one by one).
#ifndef NEON_REDO_REPLAY_RECORD_BATCH_H_
#define NEON_REDO_REPLAY_RECORD_BATCH_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "cpp_core/base/prefetch.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// What one record does to one block.
struct BlockChange {
  uint64_t hash;    // HashTag of the block
  uint32_t record;  // where it stands in the batch
  // The id of a block reference; or -1 - i for the i-th change of TakeRelationChanges; or
  // kWholeRecord.
  int16_t part;
  uint16_t line;  // see below

  // A change of whole relations: changes before it and after it must keep their place.
  static constexpr int16_t kWholeRecord = INT16_MIN;
  // Where on a page of a heap or an index the record looks: at a line pointer and its tuple; with
  // kAndBelow also at other line pointers and at all tuples that stand lower.
  static constexpr uint16_t kAndBelow = 0x8000, kWholePage = UINT16_MAX, kHeaderOnly = 0;
};

// Reusable. Not thread-safe.
class RecordBatch {
 public:
  bool empty() const { return words_.empty(); }
  size_t bytes() const { return words_.size() * sizeof(uint64_t); }
  std::span<const BlockChange> changes() const { return changes_; }

  // One of the changes is of kWholeRecord.
  bool has_whole_records() const { return has_whole_records_; }

  // The records in order: for (uint32_t at = 0; at < batch.end(); at = batch.Next(at)).
  uint32_t end() const { return static_cast<uint32_t>(words_.size()); }
  uint32_t Next(uint32_t at) const { return at + WordsFor(PlaceAt(at).length); }
  // Valid until the batch changes. Its bytes stand at a multiple of eight.
  WalRecord record(uint32_t at) const {
    const Place place = PlaceAt(at);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&words_[at]) + sizeof(Place);
    return {place.start, place.end, Bytes(bytes, place.length)};
  }
  // Has the processor fetch its beginning.
  void Prefetch(uint32_t at) const { PrefetchRange(&words_[at], kMostRecords); }

  void Clear() {
    words_.clear();
    changes_.clear();
    has_whole_records_ = false;
  }
  // Makes room for records that take that many bytes here. A multiple of kLargePageBytes is put in
  // large pages, if there are any.
  void Reserve(size_t bytes) {
    words_.reserve(bytes / sizeof(uint64_t));
    changes_.reserve(bytes / kFewestBytes);
  }
  // How many bytes the record takes here.
  static size_t BytesFor(const WalRecord& record) {
    return WordsFor(record.bytes.size()) * sizeof(uint64_t);
  }
  void Add(const WalRecord& record) {
    const Place place{record.start, record.end, record.bytes.size()};
    last_ = end();
    words_.resize(last_ + WordsFor(place.length));
    std::memcpy(&words_[last_], &place, sizeof(place));
    std::memcpy(&words_[last_ + sizeof(place) / sizeof(uint64_t)], record.bytes.data(),
                place.length);
    PrefetchRange(words_.data() + words_.size(), kMostRecords);
  }
  // Adds a change of the record that was added last. change.record is set here.
  void Add(BlockChange change) {
    change.record = last_;
    changes_.push_back(change);
    has_whole_records_ |= change.part == BlockChange::kWholeRecord;
    neon_redo::Prefetch(changes_.data() + changes_.size() + 2);
  }

 private:
  struct Place {
    Lsn start, end;
    uint64_t length;
  };
  static constexpr size_t kMostRecords = 192;  // bytes: most are not longer
  static constexpr size_t kFewestBytes = 96;   // most take more here
  // Does not initialise memory that is about to be written.
  struct Memory : std::allocator<uint64_t> {
    template <typename T>
    struct rebind {
      using other = Memory;
    };
    void construct(uint64_t*) {}
    uint64_t* allocate(size_t words);
    void deallocate(uint64_t* p, size_t words);
  };

  static uint32_t WordsFor(uint64_t length) {
    return static_cast<uint32_t>((sizeof(Place) + length + 7) / sizeof(uint64_t));
  }
  Place PlaceAt(uint32_t at) const { return LoadNative<Place>(&words_[at]); }

  std::vector<uint64_t, Memory> words_;
  uint32_t last_ = 0;
  std::vector<BlockChange> changes_;
  bool has_whole_records_ = false;
};

}  // namespace neon_redo

#endif  // NEON_REDO_REPLAY_RECORD_BATCH_H_
