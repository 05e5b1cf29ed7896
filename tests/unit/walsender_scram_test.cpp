// SCRAM-SHA-256 against the example of RFC 7677, and against what is not SCRAM.
#include "cpp_core/walsender/scram.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

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

TEST(ScramTest, UsersFile) {
  TempDirectory directory;
  const std::string path = directory.path() + "/users";
  std::ofstream(path) << "# a comment\n\nod:d name:" << kVerifier << "\n";
  chmod(path.c_str(), 0600);
  const auto users = ScramUsers::Open(path);
  ASSERT_TRUE(users) << users.error().message;
  EXPECT_EQ(users->Find("od:d name").stored_key, ParseScramVerifier(kVerifier)->stored_key);
  // One who is not there looks like one who is: always the same salt, never another's.
  EXPECT_EQ(users->Find("x").salt, users->Find("x").salt);
  EXPECT_NE(users->Find("x").salt, users->Find("y").salt);
  EXPECT_EQ(users->Find("x").salt.size(), 16u);
  chmod(path.c_str(), 0640);
  EXPECT_FALSE(ScramUsers::Open(path));
  for (const std::string bad :
       {"name", "name:md5abc", "name:SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "name:SCRAM-SHA-256$"}) {
    std::ofstream(path) << bad << "\n";
    chmod(path.c_str(), 0600);
    EXPECT_FALSE(ScramUsers::Open(path)) << bad;
  }
}

}  // namespace
}  // namespace neon_redo
