program(barnabasd SOURCES main.c options.c USES os node settings)
install(TARGETS barnabasd RUNTIME DESTINATION bin)
