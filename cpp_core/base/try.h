// How a function passes on an error that it does not handle.
#ifndef NEON_REDO_BASE_TRY_H_
#define NEON_REDO_BASE_TRY_H_

#include <utility>

#include "neon_redo/error.h"

// Evaluates an expression of type Status or Result<T>. Returns its error from the enclosing
// function, which must return a Status or a Result; drops its value.
#define RETURN_IF_ERROR(...)                                                   \
  do {                                                                         \
    if (auto neon_redo_result = (__VA_ARGS__); !neon_redo_result) [[unlikely]] \
      return ::tl::unexpected(std::move(neon_redo_result).error());            \
  } while (false)

// Declares a variable and gives it the value of a Result<T>, or returns the Result's error:
//
//   ASSIGN_OR_RETURN(const Lsn lsn, Lsn::Parse(text));
//
// Two statements, so never the body of an `if` without braces. A declaration with a comma needs
// `auto`.
#define ASSIGN_OR_RETURN(declaration, ...) \
  NEON_REDO_ASSIGN_OR_RETURN_AT(__COUNTER__, declaration, __VA_ARGS__)
#define NEON_REDO_ASSIGN_OR_RETURN_AT(counter, declaration, ...) \
  NEON_REDO_ASSIGN_OR_RETURN_(counter, declaration, __VA_ARGS__)
#define NEON_REDO_ASSIGN_OR_RETURN_(counter, declaration, ...)              \
  auto neon_redo_result_##counter = (__VA_ARGS__);                          \
  if (!neon_redo_result_##counter) [[unlikely]]                             \
    return ::tl::unexpected(std::move(neon_redo_result_##counter).error()); \
  declaration = std::move(*neon_redo_result_##counter)

#endif  // NEON_REDO_BASE_TRY_H_
