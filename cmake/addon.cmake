# The Node addon, build/Release/tersor.node.
find_program(TERSOR_NODE node REQUIRED)
execute_process(COMMAND ${TERSOR_NODE} -p "require('node-addon-api').include"
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
  OUTPUT_VARIABLE TERSOR_NODE_ADDON_API OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\"" "" TERSOR_NODE_ADDON_API "${TERSOR_NODE_ADDON_API}")
get_filename_component(TERSOR_NODE_ADDON_API "${TERSOR_NODE_ADDON_API}" ABSOLUTE)

file(GLOB TERSOR_BINDING_SOURCES CONFIGURE_DEPENDS native/binding/*.cc)
add_library(tersor MODULE ${TERSOR_BINDING_SOURCES} ${CMAKE_JS_SRC})
target_include_directories(tersor SYSTEM PRIVATE ${CMAKE_JS_INC} ${TERSOR_NODE_ADDON_API})
target_link_libraries(tersor PRIVATE tersor_core ${CMAKE_JS_LIB})
target_compile_definitions(tersor PRIVATE
  NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS BUILDING_NODE_EXTENSION
  TERSOR_VERSION="${PROJECT_VERSION}" TERSOR_EIGEN_VERSION="${TERSOR_EIGEN_VERSION}")
set_target_properties(tersor PROPERTIES PREFIX "" SUFFIX ".node")
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  # Node closes an addon when the last worker that loaded it ends; our threads must still find their code there.
  target_link_options(tersor PRIVATE -Wl,-z,nodelete)
endif()
