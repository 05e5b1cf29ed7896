// What commands that ask an index about a part of the WAL have in common: history and find.
#ifndef NEON_REDO_CLI_INDEX_QUESTION_H_
#define NEON_REDO_CLI_INDEX_QUESTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/backup_options.h"
#include "cli/common_options.h"
#include "cli/options.h"
#include "cli/page_inputs.h"
#include "cli/table_name.h"
#include "cpp_core/index/history.h"
#include "cpp_core/index/wal_index.h"
#include "cpp_core/wal/commit_time.h"
#include "neon_redo/error.h"
#include "neon_redo/worker.h"

namespace neon_redo::cli {

struct QuestionArguments {
  std::vector<std::string> names;  // at most one: of a page or relation
  std::vector<std::string> wal;
  BackupArguments base_backup;
  TableArguments table;
  std::optional<Lsn> table_at;
  LsnRange range;
  TimeRange times;
  std::optional<uint32_t> timeline;
  std::optional<uint32_t> xid;
  std::optional<uint64_t> limit;
  std::string index;
  int jobs = 1;
  bool json = false;
  WorkerOptions worker;

  bool names_something() const { return !names.empty() || table.given(); }
};

// All of the options. xid: what --xid selects.
void AddQuestion(Options* options, QuestionArguments* arguments, const char* xid);

// One line; empty: the options fit together.
std::string CheckQuestion(const QuestionArguments& arguments);

// The WAL of the arguments, its index, and the catalogs.
class Question {
 public:
  // Opens all of it, and says on standard error what is unusual. whole: WAL before the range counts, too, as far as
  // it can be read.
  static Result<std::unique_ptr<Question>> Open(const QuestionArguments& arguments, bool whole);

  WalIndex* index() { return index_.get(); }
  const PageInputs& inputs() const { return inputs_; }
  CatalogsOfWal& catalogs() { return *catalogs_; }
  // The page or relation that the arguments name, in the range of their LSNs. --table: as of --table-at, or
  // of the end of the range. Says on standard error which relation a path is then, if there is a base backup.
  Result<HistoryOptions> Subject();
  // Why not all of the range could be looked at; nothing: all could.
  std::optional<Error> Missing() const;
  // The range, as records start.
  Lsn from() const { return arguments_.range.from.value_or(Lsn()); }
  Lsn to() const { return arguments_.range.to.value_or(Lsn(~uint64_t{0})); }
  // Where the WAL or the range ends.
  Lsn end() const;

 private:
  Question(const QuestionArguments& arguments, PageInputs inputs);
  Status OpenWal(bool whole);
  void SayName(const PageKey& key);

  const QuestionArguments& arguments_;
  PageInputs inputs_;
  std::unique_ptr<WalIndex> index_;
  std::optional<CatalogsOfWal> catalogs_;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_INDEX_QUESTION_H_
