// Pages by the names that administrators have for them: paths of files, as pg_relation_filepath()
// shows them, followed by the block's number.
#ifndef NEON_REDO_PG_PAGE_NAME_H_
#define NEON_REDO_PG_PAGE_NAME_H_

#include <string_view>

#include "neon_redo/error.h"
#include "neon_redo/page_key.h"

namespace neon_redo {

// One of
//   base/5/16384/7, base/5/16384_vm/0, global/1262/0,
//   pg_tblspc/16400/<Version::tablespace_directory, of any version>/5/16401/3
//   1663/5/16384/7 (tablespace, database, relation, as pg_waldump prints relations),
//   1663/5/16384_fsm/2 pg_xact/0000/3, pg_multixact/offsets/0000/0, pg_multixact/members/0000/0,
//   pg_commit_ts/0000/1
//     (segment in hexadecimal, as the file is called, and block in that segment)
//   the 36 hexadecimal digits of the page server's key.
// Blocks of relations count over all segments of 1 GB. kInvalidArgument for everything else; the
// message quotes the text and shows what is meant.
Result<PageKey> ParsePageName(std::string_view text);

}  // namespace neon_redo

#endif  // NEON_REDO_PG_PAGE_NAME_H_
