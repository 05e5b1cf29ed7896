// SCRAM-SHA-256 against the example of RFC 7677, and against what is not SCRAM.
#include "cpp_core/wal_server/scram.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/wal_writer.h"

namespace neon_redo {
namespace {

// Of the password "pencil", with the salt of the example.
constexpr const char* kVerifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkd"
    "i4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
constexpr const char* kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr const char* kFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr const char* kFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

ScramExchange Begin() {
  const auto verifier = ParseScramVerifier(kVerifier);
  EXPECT_TRUE(verifier);
  return ScramExchange(*verifier, kServerNonce);
}

TEST(ScramTest, ExampleOfTheRfc) {
  ScramExchange exchange = Begin();
  const auto first = exchange.First(kFirst);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  const auto last = exchange.Final(kFinal);
  ASSERT_TRUE(last);
  EXPECT_EQ(*last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(ScramTest, EveryOtherFinalMessageIsRefused) {
  const std::string good = kFinal;
  for (size_t i = 0; i < good.size(); i++) {
    for (const char c : {'A', 'b', '=', ',', '\0'}) {
      std::string bad = good;
      if (bad[i] == c) continue;
      bad[i] = c;
      ScramExchange exchange = Begin();
      ASSERT_TRUE(exchange.First(kFirst));
      EXPECT_FALSE(exchange.Final(bad)) << bad;
    }
    ScramExchange exchange = Begin();
    ASSERT_TRUE(exchange.First(kFirst));
    EXPECT_FALSE(exchange.Final(good.substr(0, i)));
  }
}

TEST(ScramTest, FirstMessages) {
  for (const char* good : {"n,,n=,r=x", "y,,n=a,r=x,ext=1"}) EXPECT_TRUE(Begin().First(good));
  for (const char* bad : {"", "n", "n,,", "n,a=u,n=,r=x", "p=tls-unique,,n=,r=x", "n,,r=x",
                          "n,,n=,r=", "n,,m=x,n=,r=x", "n,,n=,r=\x80"})
    EXPECT_FALSE(Begin().First(bad)) << bad;
}

// RFC 5802, section 6: who could bind the channel and believes that the server cannot is refused by
// a server that offered it; what is bound must be this channel.
TEST(ScramTest, ChannelBinding) {
  const auto verifier = ParseScramVerifier(kVerifier);
  ASSERT_TRUE(verifier);
  auto begin = [&](bool chosen) {
    return ScramExchange(*verifier, kServerNonce, ChannelBinding{"hash", chosen});
  };
  const std::string rest = "n=,r=x";
  EXPECT_TRUE(begin(true).First("p=tls-server-end-point,," + rest));
  EXPECT_TRUE(begin(false).First("n,," + rest));
  EXPECT_EQ(begin(false).First("y,," + rest).error().code, ErrorCode::kUnsupported);
  for (const char* header : {"n,,", "y,,", "p=tls-unique,,", "p=tls-server-end-point,a=x,"})
    EXPECT_EQ(begin(true).First(header + rest).error().code, ErrorCode::kCorrupt) << header;
  EXPECT_EQ(begin(false).First("p=tls-server-end-point,," + rest).error().code,
            ErrorCode::kCorrupt);
  // The binding is looked at before the proof: base64 of the header and "hash", or "hush".
  for (const auto& [bound, code] :
       {std::pair("cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==", ErrorCode::kInvalidArgument),
        std::pair("cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaHVzaA==", ErrorCode::kUnsupported),
        std::pair("cD10bHMtc2VydmVyLWVuZC1wb2ludCws", ErrorCode::kUnsupported)}) {
    ScramExchange exchange = begin(true);
    ASSERT_TRUE(exchange.First("p=tls-server-end-point,," + rest));
    const auto last = exchange.Final(std::string("c=") + bound + ",r=x" + kServerNonce +
                                     ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, code) << bound;
  }
}

TEST(ScramTest, UsersFile) {
  TempDirectory directory;
  const std::string path = directory.path() + "/users";
  std::ofstream(path) << "# a comment\n\nod:d name:" << kVerifier << "\n";
  chmod(path.c_str(), 0600);
  auto users = ScramUsers::Open(path);
  ASSERT_TRUE(users) << users.error().message;
  EXPECT_EQ(users->Find("od:d name").verifier.stored_key,
            ParseScramVerifier(kVerifier)->stored_key);
  // One who is not there looks like one who is: always the same salt, never another's.
  EXPECT_EQ(users->Find("x").verifier.salt, users->Find("x").verifier.salt);
  EXPECT_NE(users->Find("x").verifier.salt, users->Find("y").verifier.salt);
  EXPECT_EQ(users->Find("x").verifier.salt.size(), 16u);
  // Nor does one who is not there change when the file is read again.
  const std::string salt = users->Find("x").verifier.salt;
  std::ofstream(path) << "other:" << kVerifier << "\n";
  EXPECT_TRUE(users->Reload(path));
  EXPECT_EQ(users->Find("x").verifier.salt, salt);
  EXPECT_EQ(users->Find("other").verifier.salt, ParseScramVerifier(kVerifier)->salt);
  EXPECT_NE(users->Find("od:d name").verifier.salt, ParseScramVerifier(kVerifier)->salt);
  std::ofstream(path) << "none\n";
  EXPECT_FALSE(users->Reload(path));
  EXPECT_EQ(users->Find("other").verifier.salt, ParseScramVerifier(kVerifier)->salt);
  chmod(path.c_str(), 0640);
  EXPECT_FALSE(ScramUsers::Open(path));
  for (const std::string bad :
       {"name", "name:md5abc", "name:SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "name:SCRAM-SHA-256$"}) {
    std::ofstream(path) << bad << "\n";
    chmod(path.c_str(), 0600);
    EXPECT_FALSE(ScramUsers::Open(path)) << bad;
  }
}

// Over restarts, too, an unknown role looks like a known one.
TEST(ScramTest, UnknownRolesLookLikeKnownOnes) {
  TempDirectory directory;
  const std::string path = directory.path() + "/users";
  const std::string state = directory.path() + "/state";
  std::filesystem::create_directory(state);
  const auto secrets = Directory::Open(state);
  ASSERT_TRUE(secrets);
  const std::string secret = secrets->PathOf(ScramUsers::kSecretFile);
  std::string costly = kVerifier;
  costly.replace(costly.find("4096"), 4, "10000");
  std::ofstream(path) << "one:" << costly << "\ntwo:" << costly << "\n";
  chmod(path.c_str(), 0600);
  const auto first = ScramUsers::Open(path, &*secrets);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->secret_trouble(), "");
  EXPECT_EQ(first->Find("x").verifier.iterations, 10000u);
  struct stat st;
  ASSERT_EQ(stat(secret.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  std::ofstream(path, std::ios::app) << "three:" << costly << "\n";
  const auto second = ScramUsers::Open(path, &*secrets);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->Find("x").verifier.salt, first->Find("x").verifier.salt);
  // Without a place for the secret it comes from the file.
  const auto third = ScramUsers::Open(path);
  const std::string gone = directory.path() + "/gone";
  std::filesystem::create_directory(gone);
  const auto nowhere = Directory::Open(gone);
  std::filesystem::remove(gone);
  ASSERT_TRUE(nowhere);
  const auto fourth = ScramUsers::Open(path, &*nowhere);
  ASSERT_TRUE(third && fourth);
  EXPECT_NE(fourth->secret_trouble(), "");
  EXPECT_EQ(third->Find("x").verifier.salt, fourth->Find("x").verifier.salt);
  EXPECT_NE(third->Find("x").verifier.salt, first->Find("x").verifier.salt);
  // Nobody else may have read it.
  chmod(secret.c_str(), 0644);
  EXPECT_FALSE(ScramUsers::Open(path, &*secrets));
  // Nor is a link to it followed.
  chmod(secret.c_str(), 0600);
  EXPECT_TRUE(ScramUsers::Open(path, &*secrets));
  std::filesystem::rename(secret, directory.path() + "/elsewhere");
  std::filesystem::create_symlink(directory.path() + "/elsewhere", secret);
  const auto linked = ScramUsers::Open(path, &*secrets);
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code, ErrorCode::kInvalidArgument);
}

TEST(ScramTest, SlotsOfARole) {
  TempDirectory directory;
  const std::string path = directory.path() + "/users";
  std::ofstream(path) << "any:" << kVerifier << "\nsome:" << kVerifier
                      << " slots=a,b_*\nnone:" << kVerifier << " slots=\n";
  chmod(path.c_str(), 0600);
  auto users = ScramUsers::Open(path);
  ASSERT_TRUE(users) << users.error().message;
  EXPECT_TRUE(users->Find("any").slots.Allow("x"));
  const SlotRights some = users->Find("some").slots;
  EXPECT_TRUE(some.Allow("a") && some.Allow("b_") && some.Allow("b_1"));
  EXPECT_FALSE(some.Allow("ab") || some.Allow("b") || some.Allow(""));
  EXPECT_FALSE(users->Find("none").slots.Allow("a"));
  // One who is not there has none.
  EXPECT_FALSE(users->Find("nobody").slots.Allow("a"));
  // No slot can have these names.
  for (const char* bad :
       {"slot=a", "slots=a, b", "slots=A", "slots=a\r", "slots=a*b", "slots=**"}) {
    std::ofstream(path) << "name:" << kVerifier << " " << bad << "\n";
    EXPECT_FALSE(users->Reload(path)) << bad;
  }
  EXPECT_FALSE(users->Find("none").slots.Allow("a"));
}

}  // namespace
}  // namespace neon_redo
