// What each walsender notes of itself while it works.
#ifndef NEON_REDO_SRC_MONITORING_OBSERVER_H_
#define NEON_REDO_SRC_MONITORING_OBSERVER_H_

namespace neon_redo {

// Once, in the postmaster: every walsender that starts from now on is observed.
void ObserveWalsenders();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_OBSERVER_H_
