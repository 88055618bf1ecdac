/* What a process that limits itself gets back before any of it was in use. Regions are address
 * ranges alone, as in registry_test.cc. */
#include <gtest/gtest.h>

#include "backends/os/os_fake.h"
#include "base/testing/testing.h"
#include "registry/registry.h"
extern "C" {
#include "registry/registry_inl.h"
}

namespace {

constexpr uintptr_t kWindow = HAK_WINDOW_BYTES;
constexpr uintptr_t kGiB = (uintptr_t)1 << 30;

/* The kernel then puts the first block, and metadata, where the map was. */
TEST(RegistryRoom, NoneIsGivenWhereTheNextMappingsLie) {
    EXPECT_EQ(hak_testing::InChild([] {
                  hak_registry_init(HAK_REGISTRY_FORM_FLAT, false);
                  if (!hak_registry_is_flat() || !hak_registry_give_room()) {
                      return 1;
                  }
                  hak_os_fake_fail(HAK_OS_CALL_RESERVE, 0, 100); /* none of it can come back */
                  uintptr_t map = (uintptr_t)hak_registry_flat / kWindow * kWindow;
                  for (uintptr_t next : {map - 3 * kGiB, map, map + 7 * kGiB, map + 9 * kGiB}) {
                      uint32_t tag = 0;
                      auto *region = new hak_region_t{HAK_REGION_SUPERSLAB, {next}};
                      if (!hak_registry_add(region, next, kWindow)) {
                          return 2;
                      }
                      hak_registry_set_tags(next, 1, 77);
                      if (!hak_registry_look_up(next, &tag) || tag != 77) {
                          return 3;
                      }
                  }
                  return 0;
              }),
              0);
}

} // namespace
