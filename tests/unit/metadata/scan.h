/* What an image's index of brokers says, held against a scan of all its partitions. */
#ifndef TESTS_UNIT_METADATA_SCAN_H
#define TESTS_UNIT_METADATA_SCAN_H

#include "broker/metadata/image.h"

/* For brokers 0 to `broker_count` - 1 and for partitions without a leader. NULL, or what differs.
 */
const char *scan_differs(const struct image *image, int32_t broker_count);

#endif
