// neon-redo verify --follow: the part of verify that talks to a server.
#ifndef NEON_REDO_CLI_VERIFY_FOLLOW_H_
#define NEON_REDO_CLI_VERIFY_FOLLOW_H_

#include <optional>
#include <string>

#include "cli/options.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

struct FollowArguments {
  bool follow = false;
  std::string dbname;
  std::string slot;
  std::optional<Lsn> start;
  std::string metrics;
};

void AddFollowOptions(Options* options, FollowArguments* arguments);

// Until --until, SIGINT or SIGTERM. Mismatches, lost connections and the lag go to stderr
// meanwhile.
Result<VerifyResult> Follow(const FollowArguments& arguments, const VerifyOptions& options,
                            bool progress);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_FOLLOW_H_
