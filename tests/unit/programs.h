// The stand-ins that unit tests run, as paths. Only programs.cpp is compiled with them, so that the
// tests compile alike in every directory.
#ifndef NEON_REDO_TESTS_UNIT_PROGRAMS_H_
#define NEON_REDO_TESTS_UNIT_PROGRAMS_H_

namespace neon_redo {

extern const char* const kFakeWorker;
extern const char* const kManagerWorker;

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_UNIT_PROGRAMS_H_
