// The resource managers with one operation each: Sequence (seq_redo in commands/sequence.c) and
// Generic (generic_redo in access/transam/generic_xlog.c).
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

// xl_seq_rec: the relation, then the sequence's one tuple.
bool Sequence(Change* change) {
  constexpr size_t kFixedSize = 12;
  namespace sequence = pg::sequence;
  const Bytes main = change->main();
  if (main.size() <= kFixedSize || main.size() > kPageSize) return false;
  InitPage(change->page, sequence::kSpecialSize);
  Put32(SpecialArea(change->page, sequence::kSpecialSize), sequence::kMagic);
  return AddItem(change->page, kFirstOffset, main.data() + kFixedSize,
                 static_cast<uint32_t>(main.size() - kFixedSize));
}

// The block's data: pieces of the page, each an offset, a length and the bytes (applyPageRedo).
bool Generic(Change* change) {
  uint8_t* page = change->page;
  ByteReader in(change->data());
  while (in.remaining() > 0) {
    uint16_t offset, length;
    Bytes piece;
    if (!in.Read(&offset) || !in.Read(&length) || !in.ReadBytes(length, &piece)) return false;
    if (uint32_t{offset} + length > kPageSize) return false;
    std::memcpy(page + offset, piece.data(), length);
  }
  if (Lower(page) > Upper(page) || Upper(page) > kPageSize) return false;
  std::memset(page + Lower(page), 0, Upper(page) - Lower(page));
  return true;
}

}  // namespace

Routine FindSequenceRoutine(const RecordView& record, int id) {
  return id == 0 && record.info() == layout::seq::kLog && BlockAgrees(record, 0, true) ? Sequence
                                                                                       : nullptr;
}

Routine FindGenericRoutine(const RecordView& record, int) {
  constexpr int kMaxPages = 4;  // MAX_GENERIC_XLOG_PAGES
  if (record.max_block_id() >= kMaxPages) return nullptr;
  for (int id = 0; id <= record.max_block_id(); id++) {
    if (!BlockAgreesIfThere(record, id, false)) return nullptr;
  }
  return Generic;
}

}  // namespace neon_redo::native
