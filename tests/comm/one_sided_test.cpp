// Which of Open MPI's settings are changed, and which are left alone.
#include "whence/comm/one_sided.h"

#include <gtest/gtest.h>

namespace whence {
namespace {

using Osc = std::optional<std::string>;

TEST(OneSided, ReadsTheLastSettingOfAFile) {
  EXPECT_EQ(osc_in(""), std::nullopt);
  EXPECT_EQ(osc_in("# osc = sm\nbtl = ^uct\nosc_base = x\n"), std::nullopt);
  EXPECT_EQ(osc_in("osc=sm"), Osc("sm"));
  EXPECT_EQ(osc_in("osc = rdma\nbtl = ^ofi\n osc =\t^ucx, pt2pt  # of Debian\r\n"), Osc("^ucx,pt2pt"));
}

TEST(OneSided, OnlyARuleAgainstPt2ptIsLifted) {
  EXPECT_EQ(osc_over_tcp("osc = ^ucx,pt2pt\n"), Osc("^ucx"));
  EXPECT_EQ(osc_over_tcp("osc = ^pt2pt,monitoring,ucx\n"), Osc("^monitoring,ucx"));
  EXPECT_EQ(osc_over_tcp("osc = ^pt2pt\n"), Osc(""));
  for (const char* settings :
       {"", "btl = ^uct\n", "osc = ^ucx\n", "osc = ucx\n", "osc = sm,pt2pt\n", "osc =\n"})
    EXPECT_EQ(osc_over_tcp(settings), std::nullopt) << settings;
}

}  // namespace
}  // namespace whence
