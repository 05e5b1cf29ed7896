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
// xl_prev and CRCs are checked as WalReader does; but here all that comes is valid WAL, so whatever
// does not fit is an error, and the end of what came is no end. Not thread-safe.
class WalStreamDecoder {
 public:
  // start: a multiple of kWalPageSize, where the bytes begin. Records come from the first one that
  // starts there or behind; a record continued there is skipped.
  WalStreamDecoder(Lsn start, uint32_t segment_size);

  // Appends; the bytes are copied. Next to be called until it has nothing. kInvalidArgument: they
  // do not begin where the last ones ended.
  Status Feed(Lsn start, Bytes wal);

  // The next whole record, or nothing until more is fed. Its bytes stay valid until the next call
  // of either. kCorrupt: not WAL; the message names the LSN, and the error repeats.
  Result<std::optional<WalRecord>> Next();

  // The end of the last record that Next returned; before the first, where it was looked for.
  Lsn position() const { return position_; }
  // What follows in the stream.
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
  Lsn next_;      // the next byte to look at
  Lsn position_;  // as of position()
  uint16_t magic_ = 0;
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
