// From a stream of WAL bytes to whole records, as they come. See WalStreamDecoder.
#ifndef NEON_REDO_WAL_STREAM_DECODER_H_
#define NEON_REDO_WAL_STREAM_DECODER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "neon_redo/bytes.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"
#include "neon_redo/wal_reader.h"

namespace neon_redo {

// Takes what a walsender sends: WAL without gaps, in pieces of any size. Page headers, lengths,
// xl_prev and CRCs are checked as WalReader does. But a stream is all valid WAL: anything that does
// not fit is an error, and where the bytes stop WAL has not ended. Not thread-safe.
class WalStreamDecoder {
 public:
  // start: a multiple of kWalPageSize, where the bytes begin. The first record is the first one
  // that starts there or later; a record continued there is skipped.
  WalStreamDecoder(Lsn start, uint32_t segment_size);

  // Appends; the bytes are copied. Next to be called until it has nothing. kInvalidArgument: they
  // do not begin where the last ones ended.
  Status Feed(Lsn start, Bytes wal);

  // The next whole record, or nothing until more is fed. Its bytes stay valid until the next call
  // of either. kCorrupt: not WAL; the message names the LSN, and the error repeats.
  Result<std::optional<WalRecord>> Next();

  // The end of the last record that Next returned; before the first, where it was looked for.
  Lsn position() const { return position_; }
  // Of the server that writes the stream. Null before Next has seen the first page header, and not
  // null once it has returned a record.
  const pg::Version* version() const { return version_; }
  // The LSN of the next byte of the stream.
  Lsn fed() const { return input_start_ + input_.size(); }

 private:
  // Bytes at lsn that are there, without crossing a page.
  Bytes At(Lsn lsn) const;
  bool EnterPage(bool* ready);
  bool CheckHeader(const uint8_t* bytes, Lsn lsn);
  bool BeginRecord(bool* ready);
  bool Gather(WalRecord* record, bool* ready);
  bool HeaderIsGood(const uint8_t* bytes);
  bool Accept(Bytes bytes, WalRecord* record);
  bool Fail(Lsn lsn, std::string what);

  const uint32_t segment_size_;
  std::vector<uint8_t> input_;
  Lsn input_start_;
  Lsn next_;                              // the next byte to look at
  Lsn position_;                          // as of position()
  const pg::Version* version_ = nullptr;  // null before the first page
  uint32_t timeline_ = 0;

  bool hunting_ = true;  // for the first record
  bool in_record_ = false;
  Lsn record_start_;
  uint32_t length_ = 0;          // of the record in work
  std::vector<uint8_t> record_;  // its bytes so far, when it crosses pages or pieces
  Lsn previous_;                 // start of the record before; 0: not known
  std::optional<Error> error_;
};

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_STREAM_DECODER_H_
