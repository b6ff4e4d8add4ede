/* barnabasd: arguments, settings, wiring. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "broker/node/broker.h"
#include "broker/options.h"
#include "broker/os/os.h"
#include "broker/settings/broker_settings.h"

struct program {
    struct os *os;
    struct broker *broker;
    const struct trace *trace;
    bool stopping;
    bool format;
};

static int complain(enum broker_exit code, const char *why)
{
    fprintf(stderr, "barnabasd: %s\n", why);
    return (int)code;
}

static void on_signal(void *ctx, int signum)
{
    struct program *program = ctx;
    if (signum == SIGHUP) {
        trace_info(program->trace, "SIGHUP: nothing to reload");
        return;
    }
    if (!program->stopping) {
        program->stopping = true;
        os_notify(program->os, "STOPPING=1");
    }
    broker_stop(program->broker); /* a second signal does not wait for other brokers */
}

static void on_ready(void *ctx, struct broker *broker)
{
    struct program *program = ctx;
    const char *host = broker_host(broker);
    bool v6 = strchr(host, ':') != NULL;
    bool usual = broker_port(broker) == 9092 && strcmp(host, "127.0.0.1") == 0;
    printf("data     %s\n", broker_data_dir(broker));
    printf("cluster  %s\n", broker_cluster_id(broker));
    printf("address  %s%s%s:%u\n", v6 ? "[" : "", host, v6 ? "]" : "", broker_port(broker));
    if (usual) {
        printf("try: barnabas\n");
    } else {
        printf("try: barnabas -b %s%s%s:%u\n", v6 ? "[" : "", host, v6 ? "]" : "",
               broker_port(broker));
    }
    fflush(stdout);
    os_notify(program->os, "READY=1\nSTATUS=serving");
}

static void on_stopped(void *ctx, struct broker *broker, enum broker_exit code, const char *why)
{
    struct program *program = ctx;
    if (code != BROKER_EXIT_OK) {
        complain(code, why);
    } else if (program->format) {
        printf("formatted for cluster %s: %s\n", broker_cluster_id(broker),
               broker_data_dir(broker));
    }
    os_stop(program->os, (int)code);
}

static void warn(void *ctx, const char *line)
{
    trace_warn(ctx, "%s", line);
}

static enum err set_one(struct broker_settings *settings, const char *key, const char *value,
                        struct err_text *text)
{
    char assignment[4096];
    snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    return broker_settings_set(settings, assignment, text);
}

static enum err load(struct broker_settings *settings, struct os *os, const struct options *options,
                     struct err_text *text)
{
    enum { CONFIG_MAX_BYTES = 1 << 20 };
    enum err error = ERR_NONE;
    if (options->config != NULL) {
        struct bytes file = {0};
        error = env_fs_slurp(os_fs(os), options->config, CONFIG_MAX_BYTES, &file, text);
        if (error == ERR_NONE) {
            error = broker_settings_load(settings, options->config, (const char *)file.data,
                                         file.size, text);
        }
        bytes_free(&file);
    }
    if (error == ERR_NONE && options->data_dir != NULL) {
        error = set_one(settings, "log.dirs", options->data_dir, text);
    }
    if (error == ERR_NONE && options->cluster_id != NULL) {
        error = set_one(settings, "cluster.id", options->cluster_id, text);
    }
    for (int i = 0; i < options->set_count && error == ERR_NONE; i++) {
        error = broker_settings_set(settings, options->sets[i], text);
    }
    return error == ERR_NONE ? broker_settings_check(settings, text) : error;
}

static int run(struct os *os, const struct trace *trace, struct broker_settings *settings,
               bool format)
{
    struct program program = {.os = os, .trace = trace, .format = format};
    struct broker_news news = {.ready = on_ready, .stopped = on_stopped, .ctx = &program};
    program.broker = format ? broker_format(os_env(os), settings, &news)
                            : broker_start(os_env(os), settings, &news);
    os_on_signal(os, on_signal, &program);
    int code = os_run(os);
    broker_free(program.broker);
    return code;
}

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    puts(line);
}

static void print_man(const struct broker_settings *settings)
{
    struct bytes page = {0};
    options_man(&page);
    broker_settings_man(settings, &page);
    fwrite(page.data, 1, page.size, stdout);
    bytes_free(&page);
}

static int with_settings(struct os *os, const struct trace *trace, const struct options *options)
{
    struct broker_settings *settings = broker_settings_new();
    struct err_text text = {""};
    int code = BROKER_EXIT_OK;
    if (options->help_settings) {
        broker_settings_help(settings, false, print_line, NULL);
    } else if (options->help_man) {
        print_man(settings);
    } else if (load(settings, os, options, &text) != ERR_NONE) {
        code = complain(BROKER_EXIT_USAGE, text.text);
    } else {
        broker_settings_warnings(settings, warn, (void *)(uintptr_t)trace);
        if (options->check_config) {
            printf("settings are good: node %d, %zu listeners, data in %s\n", settings->node_id,
                   settings->listeners.count, settings->log_dirs.items[0]);
        } else {
            code = run(os, trace, settings, options->format);
        }
    }
    broker_settings_free(settings);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err_text text = {""};
    if (options_parse(argc, argv, &options, &text) != ERR_NONE) {
        return complain(BROKER_EXIT_USAGE, text.text);
    }
    if (options.version) {
        puts("barnabasd " BARNABAS_VERSION);
        return BROKER_EXIT_OK;
    }
    if (options.help && !options.help_settings && !options.help_man) {
        options_help();
        return BROKER_EXIT_OK;
    }
    struct trace trace = os_trace(options.verbose ? TRACE_DEBUG : TRACE_INFO);
    struct os *os = os_open(&trace, &text);
    if (os == NULL) {
        return complain(BROKER_EXIT_FAILED, text.text);
    }
    int code = with_settings(os, &trace, &options);
    os_free(os);
    return code;
}
