// What is read of system catalogs without a server: OIDs, and offsets in rows' data (catalog/pg_class.h,
// pg_database.h, pg_tablespace.h, pg_namespace.h, pg_index.h). Each row begins with its OID and its name, but
// those of pg_index.
#ifndef NEON_REDO_PG_CATALOGS_H_
#define NEON_REDO_PG_CATALOGS_H_

#include <cstddef>
#include <cstdint>

namespace neon_redo::pg {

inline constexpr uint32_t kClassOid = 1259;       // RelationRelationId
inline constexpr uint32_t kDatabaseOid = 1262;    // DatabaseRelationId
inline constexpr uint32_t kTablespaceOid = 1213;  // TableSpaceRelationId
inline constexpr uint32_t kNamespaceOid = 2615;   // NamespaceRelationId
inline constexpr uint32_t kIndexOid = 2610;       // IndexRelationId

inline constexpr size_t kNameAt = 4, kNameSize = 64;  // NAMEDATALEN
// pg_class: relnamespace, reltype, reloftype, relowner, relam, then these. relpersistence and relkind:
// Version::class_persistence.
inline constexpr size_t kRelNamespaceAt = 68, kRelFileNodeAt = 88, kRelTablespaceAt = 92;
// reltoastrelid, relhasindex and relisshared are before relpersistence.
inline constexpr size_t kRelToastBeforePersistence = 6;
// pg_index: indexrelid, then indrelid.
inline constexpr size_t kIndexTableAt = 4;
// pg_database: datdba, encoding, three or four bytes of flags, datconnlimit, datfrozenxid, datminmxid,
// dattablespace.
inline constexpr size_t kDatConnLimitAt = 80, kDatFrozenXidAt = 84, kDatTablespaceAt = 92;
// DROP DATABASE sets it before it removes the first file. Nobody can connect to the database again.
inline constexpr uint32_t kConnLimitOfDropped =
    static_cast<uint32_t>(-2);  // DATCONNLIMIT_INVALID_DB

}  // namespace neon_redo::pg

#endif  // NEON_REDO_PG_CATALOGS_H_
