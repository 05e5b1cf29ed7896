// Takes WAL into a store of the program's own: a std::map from page keys to the changes of the
// page. Then it prints the history of one page from that store.
//
//   g++ -std=c++20 ingest_store.cpp -o ingest_store $(pkg-config --cflags --libs neon_redo_wal)
//   ./ingest_store WAL_DIRECTORY TABLESPACE DATABASE RELATION BLOCK
#include <neon_redo/ingest.h>
#include <neon_redo/page_key.h>
#include <neon_redo/wal_reader.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

using namespace neon_redo;

namespace {

// A change of one page. A Change points into its record, which is gone after the sink returns: the
// store keeps a copy of the bytes.
struct Entry {
  Lsn lsn;  // the end of the record
  bool initialises;
  std::string description;
  std::vector<uint8_t> payload;  // of kRecord the whole record, of kImage the image as stored
};

class Store {
 public:
  void Put(const Change& change, Lsn lsn) {
    std::vector<Entry>& entries = pages_[change.key];
    // Nothing before a change that initialises the page is needed for its newest version.
    if (change.initialises()) entries.clear();
    entries.push_back({lsn,
                       change.initialises(),
                       DescribeChange(change),
                       {change.payload.begin(), change.payload.end()}});
  }
  const std::vector<Entry>& Get(const PageKey& key) const {
    static const std::vector<Entry> none;
    const auto found = pages_.find(key);
    return found == pages_.end() ? none : found->second;
  }
  size_t pages() const { return pages_.size(); }

 private:
  std::map<PageKey, std::vector<Entry>> pages_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const auto number = [argv](int i) {
    return static_cast<uint32_t>(std::strtoul(argv[i], nullptr, 10));
  };
  const PageKey page = PageKey::OfBlock({{number(2), number(3), number(4)}, kMainFork, number(5)});

  WalReaderOptions options;
  options.directories = {argv[1]};
  const auto reader = WalReader::Open(options);
  if (!reader) {
    std::fprintf(stderr, "error: %s\n", reader.error().message.c_str());
    return 2;
  }
  Store store;
  Ingest ingest;
  const Status taken = ingest.TakeAll(
      reader->get(),
      [&store](const ChangeList& changes, const RecordView&, const WalRecord& record) -> Status {
        for (const Change& change : changes)
          if (ChangesPage(change.kind)) store.Put(change, record.end);
        return {};
      });
  if (!taken) {
    std::fprintf(stderr, "error: %s\n", taken.error().message.c_str());
    return 2;
  }
  std::printf("%llu records, %zu pages, next transaction %llu\n",
              static_cast<unsigned long long>(ingest.counts().records), store.pages(),
              static_cast<unsigned long long>(ingest.state().next_xid));
  for (const Entry& entry : store.Get(page))
    std::printf("%s %s%s\n", entry.lsn.ToString().c_str(), entry.initialises ? "initialises: " : "",
                entry.description.c_str());
  return 0;
}
