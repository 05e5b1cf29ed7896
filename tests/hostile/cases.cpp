#include "tests/hostile/cases.h"

#include <cstring>
#include <map>
#include <memory>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/page.h"
#include "neon_redo/record.h"
#include "neon_redo/wal_reader.h"
#include "tests/unit/version_15.h"

namespace neon_redo {

namespace {

using Random = std::mt19937;

size_t Below(Random* random, size_t n) { return n == 0 ? 0 : (*random)() % n; }

// A value that code is likely to be careless about, or any.
uint8_t OddByte(Random* random, uint8_t old) {
  constexpr uint8_t kOdd[] = {0, 1, 0x7f, 0x80, 0xff};
  switch (Below(random, 3)) {
    case 0:
      return kOdd[Below(random, std::size(kOdd))];
    case 1:
      return static_cast<uint8_t>(old ^ (1u << Below(random, 8)));
    default:
      return static_cast<uint8_t>((*random)());
  }
}

void Damage(Random* random, uint8_t* bytes, size_t size) {
  if (size == 0) return;
  for (size_t left = 1 + Below(random, 4); left > 0; --left) {
    uint8_t& byte = bytes[Below(random, size)];
    byte = OddByte(random, byte);
  }
}

// The part of a record that a view shows, in bytes that can be changed.
uint8_t* Writable(Case* c, const RecordView& view, Bytes part) {
  return c->record.data() + (part.data() - view.bytes().data());
}

void DamageBase(Random* random, Case* c) {
  if (c->base.empty()) return;
  switch (Below(random, 4)) {
    case 0:  // page header: bounds, flags, special space
      Damage(random, c->base.data() + 8, 16);
      break;
    case 1:  // line pointers
      Damage(random, c->base.data() + 24, 64);
      break;
    case 2:  // special space of indexes
      Damage(random, c->base.data() + kBlockSize - 16, 16);
      break;
    default:
      Damage(random, c->base.data() + 24, kBlockSize - 24);
  }
}

void DamageRecord(Random* random, Case* c) {
  RecordView view(kPg15);
  if (view.Parse(c->record)) return;
  const BlockRef* block = view.block(static_cast<int>(Below(random, view.max_block_id() + 1)));
  switch (Below(random, 6)) {
    case 0:
    case 1:
      Damage(random, Writable(c, view, view.main_data()), view.main_data().size());
      break;
    case 2:
      if (block != nullptr) Damage(random, Writable(c, view, block->data), block->data.size());
      break;
    case 3:
      if (block != nullptr) Damage(random, Writable(c, view, block->image), block->image.size());
      break;
    case 4:  // headers of blocks and data
      Damage(random, c->record.data() + kRecordHeaderSize,
             std::min<size_t>(40, c->record.size() - kRecordHeaderSize));
      break;
    default:  // the operation; 16 is xl_info (XLogRecord in access/xlogrecord.h)
      c->record[16] = static_cast<uint8_t>(Below(random, 16) << 4 | (c->record[16] & 0x0f));
  }
}

}  // namespace

void SealRecord(std::vector<uint8_t>* record) {
  const auto length = static_cast<uint32_t>(record->size());
  std::memcpy(record->data(), &length, sizeof(length));
  const uint32_t crc = RecordCrc32c(*record);
  std::memcpy(record->data() + 20, &crc, sizeof(crc));
}

Case Mutate(const Case& good, Random* random) {
  Case bad = good;
  for (size_t left = 1 + Below(random, 2); left > 0; --left) {
    if (Below(random, 3) == 0) {
      DamageBase(random, &bad);
    } else {
      DamageRecord(random, &bad);
    }
  }
  if (Below(random, 12) == 0) bad.record.resize(bad.record.size() + 1 + Below(random, 64));
  if (Below(random, 12) == 0 && bad.record.size() > kRecordHeaderSize + 8) {
    bad.record.resize(bad.record.size() - 1 - Below(random, 8));
  }
  if (Below(random, 40) == 0) bad.tag.block ^= 1;
  if (Below(random, 40) == 0) bad.base.clear();
  SealRecord(&bad.record);
  return bad;
}

Result<std::vector<Case>> FindCases(const std::string& wal_directory, int each) {
  auto reader = WalReader::Open({{wal_directory}, {}, {}, {}});
  if (!reader) return tl::unexpected(reader.error());
  std::vector<Case> cases;
  std::map<std::array<int, 3>, int> seen;
  std::map<BlockTag, std::vector<uint8_t>> latest;
  auto view = std::make_unique<RecordView>(kPg15);
  alignas(8) uint8_t page[kBlockSize];
  for (;;) {
    auto record = (*reader)->Next();
    if (!record) return tl::unexpected(record.error());
    if (!*record) return cases;
    if (!ParseRecord(**record, view.get())) continue;
    for (int id = 0; id <= view->max_block_id(); ++id) {
      const BlockRef* block = view->block(id);
      if (block == nullptr || !block->has_image || !RestoreImage(*block, page)) continue;
      std::vector<uint8_t>& last = latest[block->tag];
      const Bytes bytes = (*record)->bytes;
      const bool usable = !last.empty() || block->initialises();
      if (usable && bytes.size() < 40000 && seen[{view->rmid(), view->info(), id}]++ < each) {
        cases.push_back({block->tag,
                         block->initialises() ? std::vector<uint8_t>() : last,
                         {bytes.begin(), bytes.end()},
                         (*record)->end});
      }
      last.assign(page, page + kBlockSize);
    }
  }
}

}  // namespace neon_redo
