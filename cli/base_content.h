// What rebuilding pages at an LSN takes from a base backup.
#ifndef NEON_REDO_CLI_BASE_CONTENT_H_
#define NEON_REDO_CLI_BASE_CONTENT_H_

#include "cpp_core/backup/base_backup.h"
#include "cpp_core/index/catalog_pages.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/store/page_reader.h"

namespace neon_redo::cli {

// Pages of the backup, which must outlive the function. checksums: pages have them, and one that has a wrong
// one is an error.
BasePage PagesOfBackup(const BaseBackup& backup, const pg::Version& version, bool checksums);

// The same with sizes of relations and relation maps.
BaseContent ContentOf(const BaseBackup& backup, const pg::Version& version, bool checksums);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_BASE_CONTENT_H_
