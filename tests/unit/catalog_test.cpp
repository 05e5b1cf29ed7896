// Names in catalogs whose pages are made by hand: which rows are there, and what the names stand for.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "cpp_core/base/crc32c.h"
#include "cpp_core/catalog/snapshot.h"
#include "cpp_core/pg/catalogs.h"
#include "cpp_core/pg/heap_tuple.h"
#include "cpp_core/pg/page.h"
#include "cpp_core/pg/paths.h"
#include "cpp_core/pg/slru.h"
#include "tests/unit/version_15.h"

namespace neon_redo {
namespace {

using namespace pg::tuple;

constexpr uint32_t kDb = 5, kSpace = pg::kDefaultTablespace;
constexpr uint32_t kCommitted = 100, kAborted = 101, kOpen = 102, kOld = 9'000'000;

struct Row {
  uint32_t xmin = kCommitted, xmax = 0;
  uint16_t infomask = 0;
  std::vector<std::pair<size_t, uint32_t>> numbers{};  // at offsets of the data
  std::string name{};
  char kind = 'r';
};

// Pages of relations of which the first block has rows.
class FakePages : public CatalogPages {
 public:
  FakePages() {
    std::vector<uint8_t>& page = pages_[PageKey::OfSlruBlock({SlruKind::kClog, 0, 0})];
    page.assign(kBlockSize, 0);
    SetXactStatus(page.data(), kCommitted, kXactCommitted);
    SetXactStatus(page.data(), kAborted, kXactAborted);
  }
  void Put(const RelFileNode& rel, const std::vector<Row>& rows) {
    std::vector<uint8_t>& page = pages_[PageKey::OfBlock({rel})];
    page.assign(kBlockSize, 0);
    size_t at = kBlockSize;
    for (uint32_t line = 1; line <= rows.size(); line++) {
      const Row& row = rows[line - 1];
      constexpr size_t kSize = 24 + 160;
      at -= kSize;
      uint8_t* tuple = page.data() + at;
      pg::Put32(tuple + kXmin, row.xmin);
      pg::Put32(tuple + kXmax, row.xmax);
      pg::Put16(tuple + kInfomask, row.infomask);
      tuple[kHoff] = 24;
      uint8_t* data = tuple + 24;
      std::memcpy(data + pg::kNameAt, row.name.data(), row.name.size());
      data[kPg15.class_persistence] = 'p';
      data[kPg15.class_persistence + 1] = static_cast<uint8_t>(row.kind);
      for (const auto& [offset, value] : row.numbers) pg::Put32(data + offset, value);
      pg::Put32(page.data() + pg::LinePointerOffset(line),
                LinePointer::Of(static_cast<uint32_t>(at), kLpNormal, kSize).bits);
    }
    pg::SetLower(page.data(), static_cast<uint16_t>(
                                  pg::LinePointerOffset(static_cast<uint32_t>(rows.size()) + 1)));
    pg::SetUpper(page.data(), static_cast<uint16_t>(at));
    pg::SetSpecial(page.data(), kBlockSize);
  }
  void PutMap(uint32_t tablespace, uint32_t database, const pg::RelationMap& map) {
    std::string content(kPg15.relation_map_size, '\0');
    auto* bytes = reinterpret_cast<uint8_t*>(content.data());
    pg::Put32(bytes, 0x592717);
    pg::Put32(bytes + 4, static_cast<uint32_t>(map.size()));
    size_t at = 8;
    for (const auto& [oid, file] : map) {
      pg::Put32(bytes + at, oid);
      pg::Put32(bytes + at + 4, file);
      at += 8;
    }
    const size_t crc_at = pg::RelationMapCrcAt(kPg15);
    pg::Put32(bytes + crc_at, Crc32c(Bytes(bytes, crc_at)));
    maps_[{tablespace, database}] = content;
  }

  Status Read(const PageKey& key, uint8_t* page) override {
    const auto found = pages_.find(key);
    if (found == pages_.end() && key.ToBlock() && key.field6 < blocks_) {
      std::memset(page, 0, kBlockSize);
      return {};
    }
    if (found == pages_.end()) return MakeError(ErrorCode::kNotFound, "no " + key.Describe());
    std::memcpy(page, found->second.data(), kBlockSize);
    return {};
  }
  Result<uint32_t> Blocks(const RelFileNode& rel) override {
    return pages_.contains(PageKey::OfBlock({rel})) ? blocks_ : 0;
  }
  // Of each relation; all but the first are new pages.
  void set_blocks(uint32_t blocks) { blocks_ = blocks; }
  Result<std::string> Map(uint32_t tablespace, uint32_t database) override {
    return maps_[{tablespace, database}];
  }

 private:
  std::map<PageKey, std::vector<uint8_t>> pages_;
  std::map<std::pair<uint32_t, uint32_t>, std::string> maps_;
  uint32_t blocks_ = 1;
};

Row Class(uint32_t oid, const std::string& name, uint32_t file, char kind = 'r',
          uint32_t schema = 2200, uint32_t toast = 0) {
  Row row{.name = name, .kind = kind};
  row.numbers = {{0, oid},
                 {pg::kRelNamespaceAt, schema},
                 {pg::kRelFileNodeAt, file},
                 {kPg15.class_persistence - pg::kRelToastBeforePersistence, toast}};
  return row;
}

class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() {
    pages_.PutMap(pg::kGlobalTablespace, 0, {{pg::kDatabaseOid, 50}});
    pages_.PutMap(kSpace, kDb, {{pg::kClassOid, 60}});
    Row app{.name = "app"};
    app.numbers = {{0, kDb}, {pg::kDatTablespaceAt, kSpace}};
    Row dropping{.name = "dropping"};
    dropping.numbers = {{0, 7}, {pg::kDatConnLimitAt, pg::kConnLimitOfDropped}};
    pages_.Put({pg::kGlobalTablespace, 0, 50}, {app, dropping});
    Row own{.name = "pg_catalog"}, other{.name = "public"}, third{.name = "s"};
    own.numbers = {{0, 11}};
    other.numbers = {{0, 2200}};
    third.numbers = {{0, 3300}};
    pages_.Put({kSpace, kDb, 61}, {own, other, third});
  }
  // These rows of pg_class, and those that are always there.
  void PutClass(std::vector<Row> rows) {
    rows.push_back(Class(pg::kClassOid, "pg_class", 0, 'r', 11));
    rows.push_back(Class(pg::kNamespaceOid, "pg_namespace", 61, 'r', 11));
    rows.push_back(Class(pg::kIndexOid, "pg_index", 62, 'r', 11));
    pages_.Put({kSpace, kDb, 60}, rows);
  }
  Result<RelationName> Find(const std::string& name) {
    CatalogSnapshot snapshot(&pages_, kPg15, "then");
    const auto database = snapshot.FindDatabase("app");
    if (!database) return tl::unexpected(database.error());
    return snapshot.FindRelation(*database, name);
  }
  // The file of a table with a single row, or what is wrong.
  std::string Visible(uint32_t xmin, uint32_t xmax, uint16_t infomask = 0) {
    Row row = Class(500, "t", 70);
    row.xmin = xmin, row.xmax = xmax, row.infomask = infomask;
    PutClass({row});
    const auto found = Find("t");
    return found ? std::to_string(found->file.rel) : found.error().message;
  }

  FakePages pages_;
};

const std::string kNone = "there is no relation \"t\" in database \"app\" then";

TEST_F(CatalogTest, RowsThatAreThere) {
  EXPECT_EQ(Visible(kCommitted, 0), "70");
  EXPECT_EQ(Visible(kAborted, 0), kNone);
  EXPECT_EQ(Visible(kOpen, 0), kNone);
  EXPECT_EQ(Visible(kCommitted, kCommitted), kNone);
  EXPECT_EQ(Visible(kCommitted, kAborted), "70");
  EXPECT_EQ(Visible(kCommitted, kOpen), "70");
  EXPECT_EQ(Visible(kCommitted, kCommitted, kXmaxLockOnly), "70");
  EXPECT_EQ(Visible(kCommitted, kCommitted, kXmaxInvalid), "70");
  EXPECT_EQ(Visible(kOpen, 0, kXminFrozen), "70");
}

TEST_F(CatalogTest, HintsCountWherePgXactIsNotThereOnly) {
  // A page of a later moment may have them.
  EXPECT_EQ(Visible(kOpen, 0, kXminCommitted), kNone);
  EXPECT_EQ(Visible(kCommitted, kOpen, kXmaxCommitted), "70");
  EXPECT_EQ(Visible(kOld, 0, kXminCommitted), "70");
  EXPECT_EQ(Visible(kOld, 0, kXminInvalid), kNone);
  EXPECT_EQ(Visible(kCommitted, kOld, kXmaxCommitted), kNone);
  EXPECT_EQ(Visible(kOld, 0).find("it is not known whether transaction 9000000"), 0u);
}

TEST_F(CatalogTest, AMultixactMayHaveRemovedTheRow) {
  Row old = Class(500, "old_name", 70), now = Class(500, "t", 71);
  old.xmax = 3, old.infomask = kXmaxIsMulti;
  PutClass({old, now});
  EXPECT_EQ(Find("t")->file.rel, 71u);
  EXPECT_FALSE(Find("old_name"));
  PutClass({old});
  EXPECT_EQ(Find("old_name")->file.rel, 70u);
}

TEST_F(CatalogTest, Names) {
  PutClass({Class(500, "t", 70), Class(501, "t", 71, 'r', 3300), Class(502, "pg_class", 72),
            Class(503, "v", 0, 'v'), Class(504, "with.point", 73)});
  EXPECT_EQ(Find("public.t")->file, (RelFileNode{kSpace, kDb, 70}));
  EXPECT_EQ(Find("s.t")->file.rel, 71u);
  EXPECT_EQ(Find("t").error().message, "\"t\" may be public.t or s.t: give the schema, too");
  EXPECT_EQ(Find("pg_class")->file.rel, 72u);
  EXPECT_EQ(Find("pg_catalog.pg_class")->file.rel, 60u);
  EXPECT_EQ(Find("v").error().message, "public.v is a view, which has no file");
  EXPECT_EQ(Find("with.point")->file.rel, 73u);
  EXPECT_EQ(Find("S.T").error().code, ErrorCode::kNotFound);
  CatalogSnapshot snapshot(&pages_, kPg15, "then");
  EXPECT_EQ(*snapshot.NameOf({kSpace, kDb, 71}), "table s.t of database app");
  EXPECT_EQ(*snapshot.NameOf({kSpace, kDb, 60}), "table pg_catalog.pg_class of database app");
  EXPECT_FALSE(snapshot.NameOf({kSpace, kDb, 99}));
  EXPECT_FALSE(snapshot.FindDatabase("dropping"));
}

TEST_F(CatalogTest, PartsOfATable) {
  PutClass({Class(500, "t", 70, 'r', 2200, 510), Class(501, "t_pkey", 71, 'i'),
            Class(510, "pg_toast_500", 80, 't', 99), Class(511, "pg_toast_500_index", 81, 'i', 99),
            Class(520, "u", 90), Class(521, "u_pkey", 91, 'i')});
  const auto index = [](uint32_t oid, uint32_t table) {
    Row row;
    row.numbers = {{0, oid}, {pg::kIndexTableAt, table}};
    return row;
  };
  pages_.Put({kSpace, kDb, 62}, {index(521, 520), index(511, 510), index(501, 500)});
  CatalogSnapshot snapshot(&pages_, kPg15, "then");
  const auto database = snapshot.FindDatabase("app");
  const auto table = snapshot.FindRelation(*database, "t");
  const auto names_of = [](const Result<std::vector<RelationName>>& parts) {
    std::vector<std::string> names;
    for (const RelationName& part : *parts) names.push_back(part.name);
    return names;
  };
  EXPECT_EQ(names_of(snapshot.WithParts(*database, *table)),
            (std::vector<std::string>{"t", "t_pkey", "pg_toast_500", "pg_toast_500_index"}));
  EXPECT_EQ(names_of(snapshot.Catalogs(*database)),
            (std::vector<std::string>{"pg_class", "pg_index", "pg_namespace"}));
}

// The server adds blocks before it uses them; a record may name any block.
TEST_F(CatalogTest, NewPages) {
  PutClass({Class(500, "t", 70)});
  pages_.set_blocks(100);
  EXPECT_EQ(Find("t")->file.rel, 70u);
  pages_.set_blocks(UINT32_MAX);
  const auto found = Find("t");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(found.error().message,
            "global/50 has no pages before block 65536 then, and 4294967295 blocks");
}

TEST_F(CatalogTest, ACatalogThatIsNotThere) {
  PutClass({});
  pages_.PutMap(kSpace, kDb, {{pg::kClassOid, 66}});
  EXPECT_EQ(Find("t").error().message, "there is no file base/5/66 then");
  pages_.PutMap(kSpace, kDb, {});
  EXPECT_NE(Find("t").error().message.find("no pg_class in the relation map"), std::string::npos);
}

}  // namespace
}  // namespace neon_redo
