// What the sessions of a WAL sender do, in the shape of the SQL view neon_stat_replication.
#ifndef NEON_REDO_WAL_SERVER_STATISTICS_H_
#define NEON_REDO_WAL_SERVER_STATISTICS_H_

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "cpp_core/wal_server/session.h"

namespace neon_redo {

// One row: the columns of neon_stat_wal_senders() by name, null where there is nothing to say.
// LSNs are text, times ISO 8601, intervals seconds.
nlohmann::json DescribeSession(const Session& session, const WalSource& source,
                               Session::Clock::time_point now);

// All there is: "system_identifier", "timeline", "end_lsn", "wal_senders" (rows), "slots".
nlohmann::json DescribeServer(const std::vector<const Session*>& sessions, const WalSource& source,
                              const SlotStore& slots, Session::Clock::time_point now);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_STATISTICS_H_
