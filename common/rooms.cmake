# room(NAME [SOURCES ...] [USES ...] [LINKS ...])
#
# One static library per room. USES names the rooms below it, LINKS the outside
# libraries. Includes are written from the top of the tree ("common/base/buf.h"),
# so a line shows which wall it crosses; tests/tidy holds them against USES.
set(BARNABAS_WARNINGS
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wcast-qual
  -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition
  -Wpointer-arith -Wundef -Wwrite-strings -Wvla -Wimplicit-fallthrough
  -Wredundant-decls -Wnull-dereference -Wdouble-promotion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND BARNABAS_WARNINGS -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()

add_library(barnabas_flags INTERFACE)
target_compile_options(barnabas_flags INTERFACE ${BARNABAS_WARNINGS} -fno-strict-aliasing)
target_compile_definitions(barnabas_flags INTERFACE _GNU_SOURCE BARNABAS_VERSION="${PROJECT_VERSION}")
target_include_directories(barnabas_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
if(BARNABAS_WERROR)
  target_compile_options(barnabas_flags INTERFACE -Werror)
endif()
if(BARNABAS_SANITIZE)
  target_compile_options(barnabas_flags INTERFACE -fsanitize=${BARNABAS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(barnabas_flags INTERFACE -fsanitize=${BARNABAS_SANITIZE})
  if(BARNABAS_SANITIZE MATCHES "undefined")
    target_compile_options(barnabas_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

define_property(GLOBAL PROPERTY BARNABAS_ROOMS BRIEF_DOCS "rooms" FULL_DOCS "one line per room")

function(room name)
  cmake_parse_arguments(R "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(${name} STATIC ${R_SOURCES})
  target_link_libraries(${name} PUBLIC barnabas_flags ${R_USES} PRIVATE ${R_LINKS})
  file(RELATIVE_PATH where ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE ";" " " uses "${R_USES}")
  set_property(GLOBAL APPEND PROPERTY BARNABAS_ROOMS "${name}|${where}|${uses}|$<TARGET_FILE:${name}>")
endfunction()

# program(NAME SOURCES ... USES ... LINKS ...): an executable that sees the same flags.
function(program name)
  cmake_parse_arguments(P "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_link_libraries(${name} PRIVATE barnabas_flags ${P_USES} ${P_LINKS})
endfunction()

# rooms.txt: name|folder|uses|archive, read by tests/tidy.
function(write_room_table)
  get_property(rooms GLOBAL PROPERTY BARNABAS_ROOMS)
  string(REPLACE ";" "\n" text "${rooms}")
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/rooms.txt CONTENT "${text}\n")
endfunction()
