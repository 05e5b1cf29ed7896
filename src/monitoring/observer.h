// What each walsender records about itself while it runs.
#ifndef NEON_REDO_SRC_MONITORING_OBSERVER_H_
#define NEON_REDO_SRC_MONITORING_OBSERVER_H_

namespace neon_redo {

// Call it once, in the postmaster. Every walsender that starts afterwards is observed.
void ObserveWalsenders();

}  // namespace neon_redo

#endif  // NEON_REDO_SRC_MONITORING_OBSERVER_H_
