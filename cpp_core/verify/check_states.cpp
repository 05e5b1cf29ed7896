// What each check knows after some WAL, written to a ledger and read back. The checks themselves stand in
// file_check.cpp, slru_check.cpp, two_phase_check.cpp, backup_catalog.cpp and backup_proof.cpp.
#include <algorithm>
#include <cstring>

#include "cpp_core/verify/backup_proof.h"
#include "cpp_core/verify/file_check.h"
#include "cpp_core/verify/slru_check.h"
#include "cpp_core/verify/state_bytes.h"
#include "cpp_core/verify/two_phase_check.h"

namespace neon_redo {

namespace {

// The least bytes of an item, for StateReader::GetCount.
constexpr size_t kTagSize = 17, kRelationSize = 12, kPageSize = 9, kEventSize = 16;

std::string TextOf(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

bool IsInDatabase(const RelFileNode& rel, const Change& change) {
  return rel.spc == change.key.field2 && rel.db == change.key.field3;
}

void AddRow(const CatalogRow& row, StateWriter* out) {
  for (const uint32_t number :
       {row.xmin, row.xmax, row.oid, row.tablespace, row.file_node, row.frozen_xid})
    out->Add(number);
  out->Add(row.infomask);
  out->Add(row.name);
  out->Add(row.persistence);
  out->Add(row.kind);
  out->Add(row.is_dropping);
}

CatalogRow GetRow(StateReader* in) {
  CatalogRow row{};
  for (uint32_t* number :
       {&row.xmin, &row.xmax, &row.oid, &row.tablespace, &row.file_node, &row.frozen_xid})
    *number = in->Get<uint32_t>();
  row.infomask = in->Get<uint16_t>();
  row.name = in->GetText();
  row.persistence = in->Get<char>();
  row.kind = in->Get<char>();
  row.is_dropping = in->Get<bool>();
  return row;
}

void AddBadPages(const std::map<BlockTag, BadPage>& pages, StateWriter* out) {
  out->AddCount(pages.size());
  for (const auto& [tag, bad] : pages) {
    out->Add(tag);
    out->Add(static_cast<uint8_t>(bad.damage));
    out->Add(bad.checksum);
    out->Add(bad.lsn);
  }
}

std::map<BlockTag, BadPage> GetBadPages(StateReader* in) {
  std::map<BlockTag, BadPage> pages;
  for (size_t left = in->GetCount(kTagSize); left > 0 && in->ok(); left--) {
    const BlockTag tag = in->GetTag();
    BadPage& bad = pages[tag];
    bad.damage = in->GetEnum(static_cast<Damage>(kDamages - 1));
    bad.checksum = in->Get<uint16_t>();
    bad.lsn = in->GetLsn();
  }
  return pages;
}

void AddNumbers(const std::set<uint32_t>& numbers, StateWriter* out) {
  out->AddCount(numbers.size());
  for (const uint32_t number : numbers) out->Add(number);
}

std::set<uint32_t> GetNumbers(StateReader* in) {
  std::set<uint32_t> numbers;
  for (size_t left = in->GetCount(sizeof(uint32_t)); left > 0; left--)
    numbers.insert(in->Get<uint32_t>());
  return numbers;
}

void AddRelations(const std::set<RelFileNode>& relations, StateWriter* out) {
  out->AddCount(relations.size());
  for (const RelFileNode& rel : relations) out->Add(rel);
}

std::set<RelFileNode> GetRelations(StateReader* in) {
  std::set<RelFileNode> relations;
  for (size_t left = in->GetCount(kRelationSize); left > 0; left--)
    relations.insert(in->GetRelation());
  return relations;
}

}  // namespace

void FileCheck::Save(StateWriter* out) const {
  const auto add_event = [out](const Event& event) {
    out->Add(event.start);
    out->Add(event.end);
  };
  out->AddCount(forks_.size());
  for (const auto& [fork, state] : forks_) {
    out->Add(fork);
    out->Add(static_cast<uint8_t>(state.kind));
    out->Add(state.base_end);
    out->Add(state.created);
    add_event(state.last);
  }
  out->AddCount(databases_.size());
  for (const auto& [database, state] : databases_) {
    out->Add(database.first);
    out->Add(database.second);
    out->Add(static_cast<uint8_t>(state.kind));
    add_event(state.last);
  }
  out->AddCount(maps_.size());
  for (const auto& [database, map] : maps_) {
    out->Add(database.first);
    out->Add(database.second);
    out->Add(TextOf(map.content));
    add_event(map.last);
  }
}

void FileCheck::Load(StateReader* in) {
  const auto get_event = [in] {
    const Lsn start = in->GetLsn();
    return Event{start, in->GetLsn()};
  };
  const auto get_database = [in] {
    const auto tablespace = in->Get<uint32_t>();
    return Database(tablespace, in->Get<uint32_t>());
  };
  for (size_t left = in->GetCount(kTagSize + kEventSize); left > 0 && in->ok(); left--) {
    const BlockTag fork = in->GetTag();
    ForkState& state = forks_[fork];
    state.kind = in->GetEnum(ForkState::kDropped);
    state.base_end = in->Get<uint32_t>();
    state.created = in->GetLsn();
    state.last = get_event();
  }
  for (size_t left = in->GetCount(kEventSize); left > 0 && in->ok(); left--) {
    const Database database = get_database();
    DatabaseState& state = databases_[database];
    state.kind = in->GetEnum(ChangeKind::kDropDatabase);
    state.last = get_event();
    if (state.kind < ChangeKind::kCreateDatabase) in->Fail();
  }
  for (size_t left = in->GetCount(kEventSize); left > 0 && in->ok(); left--) {
    const Database database = get_database();
    const std::string content = in->GetText();
    maps_[database].content.assign(content.begin(), content.end());
    maps_[database].last = get_event();
  }
}

void SlruCheck::Save(StateWriter* out) {
  out->AddCount(pages_.size());
  for (auto& [block, page] : pages_) {
    out->Add(static_cast<uint8_t>(block.kind));
    out->Add(block.segment);
    out->Add(block.block);
    out->Add(page.known);
    const bool has_content = block.kind == SlruKind::kClog && page.ref.present();
    out->Add(has_content);
    if (has_content)
      out->Add(std::string_view(reinterpret_cast<const char*>(pool_.Get(&page.ref)), kBlockSize));
  }
  out->AddCount(removals_.size());
  for (const Removal& removal : removals_) {
    const Change& change = removal.change;
    out->Add(static_cast<uint8_t>(change.kind));
    out->Add(change.key.field2);
    out->Add(change.number);
    out->Add(change.number2);
    out->Add(removal.start);
    out->Add(removal.end);
  }
}

void SlruCheck::Load(StateReader* in) {
  for (size_t left = in->GetCount(kPageSize); left > 0 && in->ok(); left--) {
    SlruBlock block;
    block.kind = in->GetEnum(static_cast<SlruKind>(kSlruKinds - 1));
    block.segment = in->Get<uint32_t>();
    block.block = in->Get<uint32_t>();
    Page& page = pages_[block];
    page.known = in->Get<bool>();
    if (!in->Get<bool>()) continue;
    const std::string content = in->GetText();
    if (content.size() != kBlockSize) in->Fail();
    if (!in->ok()) break;
    uint8_t* bytes = page.ref.present() ? pool_.Get(&page.ref) : pool_.Allocate(&page.ref);
    std::memcpy(bytes, content.data(), kBlockSize);
  }
  for (size_t left = in->GetCount(kEventSize); left > 0 && in->ok(); left--) {
    Removal removal{};
    Change& change = removal.change;
    change.kind = in->GetEnum(ChangeKind::kDropSlru);
    change.key = PageKey::OfSlruBlock({});
    change.key.field2 = in->Get<uint32_t>();
    change.number = in->Get<uint32_t>();
    change.number2 = in->Get<uint32_t>();
    removal.start = in->GetLsn();
    removal.end = in->GetLsn();
    if (change.kind < ChangeKind::kTruncateSlru) in->Fail();
    removals_.push_back(removal);
  }
}

// Of a transaction that has ended nothing need be known, unless the base backup has its file.
void TwoPhaseCheck::Save(StateWriter* out) const {
  const auto is_wanted = [this](const auto& found) {
    return found.second.end.valid() && (found.second.content || of_base_.contains(found.first));
  };
  out->AddCount(static_cast<size_t>(std::count_if(states_.begin(), states_.end(), is_wanted)));
  for (const auto& found : states_) {
    if (!is_wanted(found)) continue;
    const State& state = found.second;
    out->Add(found.first);
    out->Add(state.content.has_value());
    out->Add(state.content.value_or(""));
    out->Add(state.start);
    out->Add(state.end);
  }
}

void TwoPhaseCheck::Load(StateReader* in) {
  for (size_t left = in->GetCount(kEventSize); left > 0 && in->ok(); left--) {
    State& state = states_[in->Get<uint32_t>()];
    const bool is_prepared = in->Get<bool>();
    std::string content = in->GetText();
    state.content.reset();
    if (is_prepared) state.content = std::move(content);
    state.start = in->GetLsn();
    state.end = in->GetLsn();
    state.is_stale = false;
  }
}

void KnownCatalogs::Take(const Change& change) {
  const auto forget = [this](const auto& is_gone) {
    std::erase_if(changed, is_gone);
    std::erase_if(rows, [&](const auto& row) { return is_gone(row.first); });
  };
  const RelFileNode rel = RelationOf(change);
  switch (change.kind) {
    case ChangeKind::kCreateFork:
      if (!(change.flags & kNewRelationFile) || change.key.field5 != kMainFork) return;
      [[fallthrough]];
    case ChangeKind::kDropRelation:
      if (relations.contains(rel)) forget([&](const BlockTag& tag) { return tag.rel == rel; });
      return;
    case ChangeKind::kTruncateFork:
      if (relations.contains(rel) && change.key.field5 == kMainFork)
        forget([&](const BlockTag& tag) { return tag.rel == rel && tag.block >= change.number; });
      return;
    case ChangeKind::kCreateDatabase:
    case ChangeKind::kCopyDatabase:
    case ChangeKind::kDropDatabase:
      return forget([&](const BlockTag& tag) { return IsInDatabase(tag.rel, change); });
    default:
      return;
  }
}

void KnownCatalogs::Save(StateWriter* out) const {
  AddRelations(relations, out);
  AddRelations(unknown, out);
  out->AddCount(changed.size());
  for (const BlockTag& tag : changed) out->Add(tag);
  out->AddCount(rows.size());
  for (const auto& [tag, of_block] : rows) {
    out->Add(tag);
    out->AddCount(of_block.size());
    for (const CatalogRow& row : of_block) AddRow(row, out);
  }
}

KnownCatalogs KnownCatalogs::Load(StateReader* in) {
  KnownCatalogs known;
  known.relations = GetRelations(in);
  known.unknown = GetRelations(in);
  for (size_t left = in->GetCount(kTagSize); left > 0; left--) known.changed.insert(in->GetTag());
  for (size_t left = in->GetCount(kTagSize); left > 0 && in->ok(); left--) {
    const BlockTag tag = in->GetTag();
    std::vector<CatalogRow>& rows = known.rows[tag];
    constexpr size_t kRowSize = 7 * sizeof(uint32_t);
    for (size_t more = in->GetCount(kRowSize); more > 0 && in->ok(); more--)
      rows.push_back(GetRow(in));
  }
  return known;
}

void BackupCatalog::Begin(KnownCatalogs known) {
  changed_ = std::move(known.changed);
  unknown_ = std::move(known.unknown);
  rows_ = std::move(known.rows);
}

KnownCatalogs BackupCatalog::Known() const {
  KnownCatalogs known{{}, changed_, unknown_, rows_};
  for (const auto& [rel, kind] : relations_) known.relations.insert(rel);
  return known;
}

void BackupProof::Save(StateWriter* out) const {
  for (const uint64_t count : {counts_.files, counts_.files_read, counts_.bytes_read, counts_.pages,
                               counts_.files_by_checksum, counts_.pages_made_good})
    out->Add(count);
  out->Add(counts_.has_manifest);
  AddBadPages(bad_, out);
  AddBadPages(read_bad_, out);
  out->AddCount(gaps_.size());
  for (const auto& [fork, blocks] : gaps_) {
    out->Add(fork);
    out->Add(blocks.first);
    out->Add(blocks.second);
  }
  AddNumbers(tablespaces_, out);
  AddNumbers(dropped_tablespaces_, out);
  catalog_->Known().Save(out);
}

void BackupProof::Resume(const ControlData& control, const BaseFiles& list, Lsn end,
                         StateReader* in) {
  control_ = control;
  list_ = &list;
  known_end_ = end;
  counts_.has_checksums = control.checksums;
  for (uint64_t* count : {&counts_.files, &counts_.files_read, &counts_.bytes_read, &counts_.pages,
                          &counts_.files_by_checksum, &counts_.pages_made_good})
    *count = in->Get<uint64_t>();
  counts_.has_manifest = in->Get<bool>();
  bad_ = GetBadPages(in);
  read_bad_ = GetBadPages(in);
  for (size_t left = in->GetCount(kTagSize); left > 0 && in->ok(); left--) {
    const BlockTag fork = in->GetTag();
    const auto from = in->Get<uint32_t>();
    gaps_[fork] = {from, in->Get<uint32_t>()};
  }
  tablespaces_ = GetNumbers(in);
  dropped_tablespaces_ = GetNumbers(in);
  known_ = KnownCatalogs::Load(in);
}

}  // namespace neon_redo
