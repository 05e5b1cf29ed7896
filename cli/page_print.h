// How `neon-redo page` shows a page, and what two states of it differ in.
#ifndef NEON_REDO_CLI_PAGE_PRINT_H_
#define NEON_REDO_CLI_PAGE_PRINT_H_

#include <optional>
#include <string>

#include "cpp_core/pg/version.h"
#include "cpp_core/store/page_reader.h"
#include "neon_redo/lsn.h"
#include "neon_redo/page_key.h"

namespace neon_redo::cli {

struct PageStyle {
  bool tuples = false;  // line pointers, tuples and the special area, too
  bool hex = false;     // all bytes, with the fields that begin there
  bool json = false;
};

// A state of a page. Nothing in `page`: it was not there, for this reason.
struct PageState {
  Lsn lsn;
  std::optional<PageAt> page{};
  std::string absence{};
};

void PrintPage(const PageKey& key, Lsn lsn, const PageAt& at, const pg::Version& version,
               const PageStyle& style);
// A page that was not there counts as one of zeroes.
void PrintPageDiff(const PageKey& key, const PageState& before, const PageState& after,
                   const pg::Version& version, bool json);

// "the end of WAL", "0/15000028"
std::string MomentText(Lsn lsn);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_PAGE_PRINT_H_
