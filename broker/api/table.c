/* The APIs this broker serves, and where. ApiVersions advertises exactly these rows. */
#include "broker/api/handlers.h"

static const struct api_row rows[] = {
    {WIRE_PRODUCE, API_BROKER, api_produce},
    {WIRE_FETCH, API_BROKER | API_CONTROLLER, api_fetch},
    {WIRE_LIST_OFFSETS, API_BROKER, api_list_offsets},
    {WIRE_METADATA, API_BROKER, api_metadata},
    {WIRE_OFFSET_COMMIT, API_BROKER, api_group_call},
    {WIRE_OFFSET_FETCH, API_BROKER, api_group_call},
    {WIRE_FIND_COORDINATOR, API_BROKER, api_find_coordinator},
    {WIRE_JOIN_GROUP, API_BROKER, api_group_call},
    {WIRE_HEARTBEAT, API_BROKER, api_group_call},
    {WIRE_LEAVE_GROUP, API_BROKER, api_group_call},
    {WIRE_SYNC_GROUP, API_BROKER, api_group_call},
    {WIRE_DESCRIBE_GROUPS, API_BROKER, api_group_call},
    {WIRE_LIST_GROUPS, API_BROKER, api_group_call},
    {WIRE_API_VERSIONS, API_BROKER | API_CONTROLLER, api_api_versions},
    {WIRE_CREATE_TOPICS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_DELETE_TOPICS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_DELETE_RECORDS, API_BROKER, api_delete_records},
    {WIRE_INIT_PRODUCER_ID, API_BROKER, api_init_producer_id},
    {WIRE_OFFSET_FOR_LEADER_EPOCH, API_BROKER, api_offset_for_leader_epoch},
    {WIRE_DESCRIBE_CONFIGS, API_BROKER, api_describe_configs},
    {WIRE_ALTER_CONFIGS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_DESCRIBE_LOG_DIRS, API_BROKER, api_describe_log_dirs},
    {WIRE_CREATE_PARTITIONS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_DELETE_GROUPS, API_BROKER, api_group_call},
    {WIRE_ELECT_LEADERS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_INCREMENTAL_ALTER_CONFIGS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_ALTER_PARTITION_REASSIGNMENTS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_LIST_PARTITION_REASSIGNMENTS, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_OFFSET_DELETE, API_BROKER, api_group_call},
    {WIRE_VOTE, API_CONTROLLER, api_quorum_call},
    {WIRE_BEGIN_QUORUM_EPOCH, API_CONTROLLER, api_quorum_call},
    {WIRE_END_QUORUM_EPOCH, API_CONTROLLER, api_quorum_call},
    {WIRE_DESCRIBE_QUORUM, API_BROKER | API_CONTROLLER, api_describe_quorum},
    {WIRE_ALTER_PARTITION, API_CONTROLLER, api_controller_call},
    {WIRE_UPDATE_FEATURES, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_ENVELOPE, API_CONTROLLER, api_envelope},
    {WIRE_FETCH_SNAPSHOT, API_CONTROLLER, api_quorum_call},
    {WIRE_DESCRIBE_CLUSTER, API_BROKER | API_CONTROLLER, api_describe_cluster},
    {WIRE_BROKER_REGISTRATION, API_CONTROLLER, api_controller_call},
    {WIRE_BROKER_HEARTBEAT, API_CONTROLLER, api_controller_call},
    {WIRE_UNREGISTER_BROKER, API_BROKER | API_CONTROLLER, api_controller_call},
    {WIRE_ALLOCATE_PRODUCER_IDS, API_CONTROLLER, api_controller_call},
    {WIRE_CONTROLLER_REGISTRATION, API_CONTROLLER, api_controller_call},
    {WIRE_ASSIGN_REPLICAS_TO_DIRS, API_CONTROLLER, api_controller_call},
    {WIRE_DESCRIBE_TOPIC_PARTITIONS, API_BROKER, api_describe_topic_partitions},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const struct api_row *api_table(int *count)
{
    *count = ROW_COUNT;
    return rows;
}

const struct api_row *api_row_of(int16_t key)
{
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].key == key) {
            return &rows[i];
        }
    }
    return NULL;
}
