#include "cpp_core/catalog/rows.h"

#include <cstring>
#include <utility>

#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"

namespace neon_redo {

namespace {

size_t NeededBytes(CatalogKind kind, const pg::Version& version) {
  switch (kind) {
    case CatalogKind::kClass:
      return version.class_persistence + 2;
    case CatalogKind::kDatabase:
      return pg::kDatTablespaceAt + 4;
    case CatalogKind::kIndex:
      return pg::kIndexTableAt + 4;
    default:
      return pg::kNameAt + pg::kNameSize;
  }
}

std::string NameAt(const uint8_t* data) {
  const auto* name = reinterpret_cast<const char*>(data + pg::kNameAt);
  return {name, strnlen(name, pg::kNameSize)};
}

}  // namespace

std::optional<CatalogRow> ReadCatalogRow(Bytes tuple, CatalogKind kind,
                                         const pg::Version& version) {
  using namespace pg::tuple;
  if (tuple.size() < kTupleHeaderSize || tuple.size() < tuple[kHoff] + NeededBytes(kind, version))
    return std::nullopt;
  const uint8_t* data = tuple.data() + tuple[kHoff];
  CatalogRow row{};
  row.xmin = pg::Get32(tuple.data() + kXmin);
  row.xmax = pg::Get32(tuple.data() + kXmax);
  row.infomask = pg::Get16(tuple.data() + kInfomask);
  row.oid = pg::Get32(data);
  if (kind != CatalogKind::kIndex) row.name = NameAt(data);
  if (kind == CatalogKind::kClass) {
    row.name_space = pg::Get32(data + pg::kRelNamespaceAt);
    row.file_node = pg::Get32(data + pg::kRelFileNodeAt);
    row.tablespace = pg::Get32(data + pg::kRelTablespaceAt);
    row.toast = pg::Get32(data + version.class_persistence - pg::kRelToastBeforePersistence);
    row.persistence = static_cast<char>(data[version.class_persistence]);
    row.kind = static_cast<char>(data[version.class_persistence + 1]);
  } else if (kind == CatalogKind::kDatabase) {
    row.tablespace = pg::Get32(data + pg::kDatTablespaceAt);
    row.frozen_xid = pg::Get32(data + pg::kDatFrozenXidAt);
    row.is_dropping = pg::Get32(data + pg::kDatConnLimitAt) == pg::kConnLimitOfDropped;
  } else if (kind == CatalogKind::kIndex) {
    row.table = pg::Get32(data + pg::kIndexTableAt);
  }
  return row;
}

std::optional<CatalogRow> ReadCatalogRow(const uint8_t* page, uint32_t line, CatalogKind kind,
                                         const pg::Version& version) {
  LinePointer lp;
  if (!PageView(page).line_pointer(line, &lp) || lp.flags() != kLpNormal ||
      lp.offset() + lp.length() > kBlockSize)
    return std::nullopt;
  return ReadCatalogRow(Bytes(page + lp.offset(), lp.length()), kind, version);
}

void ForEachCatalogRow(const uint8_t* page, CatalogKind kind, const pg::Version& version,
                       const std::function<void(CatalogRow)>& take) {
  const PageView view(page);
  if (view.is_new() || !view.has_valid_space()) return;
  for (uint32_t line = 1; line <= view.line_pointer_count(); line++)
    if (auto row = ReadCatalogRow(page, line, kind, version)) take(std::move(*row));
}

bool KindHasStorage(char kind) { return kind != '\0' && std::strchr("riStm", kind) != nullptr; }

const char* KindName(char kind) {
  switch (kind) {
    case 'i':
      return "index";
    case 't':
      return "TOAST table";
    case 'S':
      return "sequence";
    case 'm':
      return "materialized view";
    case 'v':
      return "view";
    case 'p':
      return "partitioned table";
    case 'I':
      return "partitioned index";
    case 'f':
      return "foreign table";
    case 'c':
      return "composite type";
    default:
      return "table";
  }
}

}  // namespace neon_redo
