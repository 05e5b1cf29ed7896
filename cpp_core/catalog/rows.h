// Rows of system catalogs, as they stand in pages.
#ifndef NEON_REDO_CATALOG_ROWS_H_
#define NEON_REDO_CATALOG_ROWS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cpp_core/pg/version.h"
#include "neon_redo/bytes.h"

namespace neon_redo {

enum class CatalogKind : uint8_t { kClass, kDatabase, kTablespace, kNamespace, kIndex };

// What is read of a row.
struct CatalogRow {
  uint32_t xmin, xmax;
  uint16_t infomask;
  uint32_t oid;             // of pg_index: indexrelid
  std::string name;         // but of pg_index
  uint32_t tablespace = 0;  // reltablespace, dattablespace
  uint32_t file_node = 0;   // relfilenode
  uint32_t name_space = 0;  // relnamespace
  uint32_t toast = 0;       // reltoastrelid
  uint32_t table = 0;       // indrelid
  char persistence = 0, kind = 0;
  uint32_t frozen_xid = 0;   // datfrozenxid
  bool is_dropping = false;  // a database that DROP DATABASE has begun to remove
};

// The bytes of a tuple, with its header. Nothing: it is too short.
std::optional<CatalogRow> ReadCatalogRow(Bytes tuple, CatalogKind kind, const pg::Version& version);

// Of a line pointer, from 1 on. Nothing: it has no such row.
std::optional<CatalogRow> ReadCatalogRow(const uint8_t* page, uint32_t line, CatalogKind kind,
                                         const pg::Version& version);

// Every row of a page, live or not. None of a page whose header cannot be.
void ForEachCatalogRow(const uint8_t* page, CatalogKind kind, const pg::Version& version,
                       const std::function<void(CatalogRow)>& take);

// RELKIND_HAS_STORAGE: tables, indexes, sequences, TOAST tables, materialized views.
bool KindHasStorage(char kind);
// A relkind in words: "table", "TOAST table".
const char* KindName(char kind);

}  // namespace neon_redo

#endif  // NEON_REDO_CATALOG_ROWS_H_
