// Requests from real WAL, and damaged ones made of them.
#ifndef NEON_REDO_TESTS_HOSTILE_CASES_H_
#define NEON_REDO_TESTS_HOSTILE_CASES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "neon_redo/worker.h"

namespace neon_redo {

// One record on one block. The base image is the block's last one in the WAL before it.
struct Case {
  BlockTag tag;
  std::vector<uint8_t> base;  // empty: none
  std::vector<uint8_t> record;
  Lsn end;
};

// A request that views a case. The case must outlive it.
class CaseRequest {
 public:
  explicit CaseRequest(const Case& c) : record_{c.end, c.record}, case_(c) {}
  RedoRequest get() const {
    return {case_.tag, case_.base.empty() ? nullptr : case_.base.data(), {&record_, 1}};
  }

 private:
  const RedoRecord record_;
  const Case& case_;
};

// Up to `each` cases of each operation and block reference. Bases come from images in the WAL: make
// it with wal_consistency_checking = all. Bad WAL: the error.
Result<std::vector<Case>> FindCases(const std::string& wal_directory, int each);

// Makes the length and the checksum of a changed record right.
void SealRecord(std::vector<uint8_t>* record);

// The case with a few changes that know where things are: bytes of the record's main data, of its
// data for the block, of headers and images, of the base page's header, line pointers or tuples;
// another length of data; another operation. The record's length and checksum are right.
Case Mutate(const Case& good, std::mt19937* random);

}  // namespace neon_redo

#endif  // NEON_REDO_TESTS_HOSTILE_CASES_H_
