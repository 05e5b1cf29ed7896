// Resource manager Hash: hash_xlog_insert, _delete and _vacuum_one_page in access/hash/hash_xlog.c;
// the records are in access/hash_xlog.h. The rest (index creation, overflow pages, bucket splits)
// is rare and left to the worker.
#include "cpp_core/pg/operations.h"
#include "cpp_core/pg/special_area.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/redo/native/change.h"

namespace neon_redo::native {

namespace {

namespace op = layout::hash;
using namespace pg::hash;

constexpr size_t kVacuumFixedSize = 8;  // SizeOfHashVacuumOnePage

void ClearHasDeadTuples(uint8_t* page) {
  uint8_t* flag = SpecialArea(page, kSpecialSize) + kFlags;
  Put16(flag, Get16(flag) & ~uint32_t{kHasDeadTuples});
}

// The meta page counts tuples (hashm_ntuples in HashMetaPageData).
void CountTuples(uint8_t* page, double more) {
  uint8_t* field = page + kHeaderSize + kMetaTupleCount;
  const double count = LoadNative<double>(field) + more;
  std::memcpy(field, &count, sizeof(count));
}

// xl_hash_insert: offnum.
bool Insert(Change* change) {
  if (change->main().size() < 2 || change->data().size() < kIndexTupleHeaderSize ||
      !HeaderFits(change->page, kSpecialSize))
    return false;
  return AddItem(change->page, Get16(change->main().data()), change->data());
}

bool InsertMeta(Change* change) {
  CountTuples(change->page, 1);
  return true;
}

// xl_hash_delete: clear_dead_marking, is_primary_bucket_page. Block 1's data: numbers of items.
bool Delete(Change* change) {
  const Bytes main = change->main(), data = change->data();
  if (main.size() < 2 || data.size() % 2 != 0 || !HeaderFits(change->page, kSpecialSize))
    return false;
  if (!DeleteIndexItems(change->page, data.data(), static_cast<uint32_t>(data.size() / 2)))
    return false;
  if (main[0] != 0) ClearHasDeadTuples(change->page);
  return true;
}

// Block 0 of it: the bucket's first page, only locked.
bool DeleteBucket(Change* change) {
  change->keep_lsn = true;
  return true;
}

// xl_hash_vacuum_one_page: latestRemovedXid, ntuples, that many numbers of items.
bool ReadVacuum(const Change& change, uint32_t* tuples) {
  const Bytes main = change.main();
  if (main.size() <= kVacuumFixedSize) return false;
  *tuples = change.record.version().hash_vacuum_count_size == 2 ? Get16(main.data() + 4)
                                                                : Get32(main.data() + 4);
  return *tuples <= kMaxIndexTuples && main.size() >= kVacuumFixedSize + 2 * size_t{*tuples};
}

bool VacuumOnePage(Change* change) {
  uint32_t tuples;
  if (!ReadVacuum(*change, &tuples) || !HeaderFits(change->page, kSpecialSize) ||
      !DeleteIndexItems(change->page, change->main().data() + kVacuumFixedSize, tuples))
    return false;
  ClearHasDeadTuples(change->page);
  return true;
}

bool VacuumMeta(Change* change) {
  uint32_t tuples;
  if (!ReadVacuum(*change, &tuples)) return false;
  CountTuples(change->page, -static_cast<double>(tuples));
  return true;
}

Routine FindDeleteRoutine(const RecordView& record, int id) {
  const Bytes main = record.main_data();
  if (main.size() < 2 || !BlockAgrees(record, 1, false)) return nullptr;
  if (id == 1) return main[1] != 0 || BlockAgrees(record, 0, false) ? Delete : nullptr;
  return id == 0 && main[1] == 0 && BlockAgrees(record, 0, false) ? DeleteBucket : nullptr;
}

}  // namespace

Routine FindHashRoutine(const RecordView& record, int id) {
  if (record.info() == op::kDelete) return FindDeleteRoutine(record, id);
  if (!BlockAgrees(record, 0, false) || !BlockAgrees(record, 1, false)) return nullptr;
  if (record.info() == op::kInsert) return id == 0 ? Insert : id == 1 ? InsertMeta : nullptr;
  if (record.info() == op::kVacuumOnePage)
    return id == 0 ? VacuumOnePage : id == 1 ? VacuumMeta : nullptr;
  return nullptr;
}

}  // namespace neon_redo::native
