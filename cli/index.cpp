// neon-redo index: makes or completes the index of an archive of WAL.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/common_options.h"
#include "cli/failure.h"
#include "cli/foreign_text.h"
#include "cli/index_options.h"
#include "cpp_core/base/try.h"

namespace neon_redo::cli {

namespace {

struct IndexArguments {
  std::vector<std::string> wal;
  std::string stanza, cipher_pass_file;
  LsnRange range;
  std::optional<uint32_t> timeline;
  std::string index;
  int jobs = 1;
  bool json = false;
};

void PrintText(const WalIndex& index) {
  const IndexCounts& counts = index.counts();
  fmt::print("directory:         {}\n", index.directory());
  fmt::print("WAL indexed up to: {}\n", index.end().ToString());
  fmt::print("segments:          {}, {} of them indexed now\n", index.segments()->size(),
             counts.segments_indexed);
  fmt::print("files:             {}, {} bytes\n", counts.files, counts.bytes);
}

Outcome Run(const IndexArguments& arguments, const Options& options) {
  if (arguments.wal.empty()) return tl::unexpected(options.Misuse("option --wal is required"));
  ASSIGN_OR_RETURN(const auto wal,
                   WalSet::Open(WalSources{.directories = arguments.wal,
                                           .stanza = arguments.stanza,
                                           .cipher_pass_file = arguments.cipher_pass_file}));
  ASSIGN_OR_RETURN(const auto index,
                   OpenIndex(wal, {arguments.range.from, arguments.range.to, arguments.timeline},
                             arguments.index, arguments.jobs));
  const IndexCounts& counts = index->counts();
  const uint64_t segments = index->segments()->size();
  // After it nothing can be found.
  std::optional<Error> damage = index->damage();
  if (arguments.range.to && index->end() >= *arguments.range.to) damage.reset();
  if (arguments.json) {
    const nlohmann::ordered_json out = {
        {"directory", index->directory()},
        {"end_lsn", index->end().ToString()},
        {"segments", segments},
        {"segments_indexed", counts.segments_indexed},
        {"files", counts.files},
        {"bytes", counts.bytes},
        {"damage", damage ? nlohmann::ordered_json(damage->message) : nlohmann::ordered_json()}};
    fmt::print("{}\n", JsonText(out));
  } else {
    PrintText(*index);
  }
  RETURN_IF_ERROR(FlushOutput());
  if (!damage) return kExitFine;
  Failure failure(*damage);
  failure.in_output = arguments.json;
  return tl::unexpected(std::move(failure));
}

}  // namespace

CommandFunction DeclareIndex(Options* options) {
  auto arguments = std::make_shared<IndexArguments>();
  options->Usage("[OPTION]... --wal=DIR...");
  options->Introduction(
      "The index says which records concern a page, a relation or a transaction. It has\n"
      "no page and no record. Commands that need it make what is missing by themselves.\n");
  AddWalDirectories(options, &arguments->wal);
  AddRepository(options, &arguments->stanza, &arguments->cipher_pass_file);
  AddUntestedVersion(options);
  AddLsnRange(options, &arguments->range);
  AddTimeline(options, &arguments->timeline);
  AddIndex(options, &arguments->index);
  AddIndexJobs(options, &arguments->jobs);
  AddFormat(options, &arguments->json, "text (default) or json");
  options->Notes(
      "The command never writes to the WAL directory. A file of the index names the\n"
      "segments that it is of. It is made anew when one of these has changed.\n\n"
      "Example:\n"
      "  neon-redo index --wal=archive --index=/var/cache/neon_redo\n");
  return [arguments, options] { return Run(*arguments, *options); };
}

}  // namespace neon_redo::cli
