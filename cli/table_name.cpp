#include "cli/table_name.h"

#include <fmt/format.h>

#include <utility>

#include "cli/base_content.h"
#include "cpp_core/base/try.h"
#include "cpp_core/index/consistent.h"

namespace neon_redo::cli {

void AddTable(Options* options, TableArguments* arguments) {
  options->Text("--database=NAME", &arguments->database, "database of --table").Needs("--table");
  options
      ->Text("--table=[SCHEMA.]NAME", &arguments->table,
             "table, index, sequence, materialized view or TOAST table, as pg_class has its name")
      .Needs("--database");
}

CatalogsOfWal::CatalogsOfWal(const PageInputs& inputs, WalIndex* index, const WorkerOptions& worker)
    : inputs_(inputs),
      index_(*index),
      pages_(index, inputs.backup ? inputs.start : Lsn(),
             inputs.backup
                 ? ContentOf(*inputs.backup, *inputs.control.version, inputs.control.checksums)
                 : BaseContent{},
             worker) {}

Result<Lsn> CatalogsOfWal::First() {
  if (first_) return *first_;
  if (!inputs_.backup) return Lsn();
  ASSIGN_OR_RETURN(const auto out, ConsistentFrom(&index_, inputs_.start, inputs_.consistent_at));
  if (!out)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("names are not known, since the WAL ends before the base backup "
                                 "\"{}\" was complete: more WAL or an earlier backup is needed",
                                 inputs_.backup->path()));
  first_ = out;
  return *out;
}

Result<std::unique_ptr<CatalogSnapshot>> CatalogsOfWal::At(Lsn lsn) {
  ASSIGN_OR_RETURN(const Lsn first, First());
  if (lsn < first)
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("names at {} are not known, since the base backup \"{}\" is "
                                 "consistent from {} on: give an earlier one",
                                 lsn.ToString(), inputs_.backup->path(), first.ToString()));
  pages_.set_lsn(lsn);
  return std::make_unique<CatalogSnapshot>(&pages_, pages_.version(), "at " + lsn.ToString());
}

Error CatalogsOfWal::Explain(Error error) const {
  if (!inputs_.backup && error.code == ErrorCode::kNotFound)
    error.message += "; give a base backup with --base-backup, so that names can be read";
  return error;
}

Result<RelationName> FindTable(const TableArguments& arguments, CatalogSnapshot* names) {
  ASSIGN_OR_RETURN(const DatabaseName database, names->FindDatabase(arguments.database));
  return names->FindRelation(database, arguments.table);
}

Result<std::vector<RelationName>> FindTableWithParts(const TableArguments& arguments,
                                                     CatalogSnapshot* names) {
  ASSIGN_OR_RETURN(const DatabaseName database, names->FindDatabase(arguments.database));
  ASSIGN_OR_RETURN(const RelationName table, names->FindRelation(database, arguments.table));
  return names->WithParts(database, table);
}

}  // namespace neon_redo::cli
