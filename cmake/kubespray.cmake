# Kubespray: install-kubespray, list-kubespray-info, clean-kubespray.

find_program(CARGO cargo PATHS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" DOC "Cargo, which builds and runs everything")
if(NOT CARGO)
  message(FATAL_ERROR "cargo was not found: install Rust, or say where it is with -DCARGO=…")
endif()

set(KUBESPRAY_VERSION "" CACHE STRING "A release's tag or a commit; empty: that of the cluster, or the default release")
set(KUBESPRAY_SOURCE "" CACHE STRING "A git URL or directory to fetch from; empty: Kubespray's own repository")
set(KUBESPRAY_CLUSTER "" CACHE STRING "A cluster under inventories/ whose file says version and source")
option(LAB_YES "Install all that is missing on this computer without asking" OFF)

# make gives its children a job server that cargo could not use.
set(xtask "${CMAKE_COMMAND}" -E env --unset=MAKEFLAGS --unset=MFLAGS "${CARGO}" xtask)
if(LAB_YES)
  list(APPEND xtask --yes)
endif()

set(kubespray_what)
foreach(word IN ITEMS VERSION SOURCE CLUSTER)
  if(NOT KUBESPRAY_${word} STREQUAL "")
    string(TOLOWER "${word}" option)
    list(APPEND kubespray_what "--${option}" "${KUBESPRAY_${word}}")
  endif()
endforeach()

add_custom_target(install-kubespray
  COMMAND ${xtask} kubespray fetch ${kubespray_what}
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
  COMMENT "Fetching the pinned Kubespray and its Ansible"
  USES_TERMINAL VERBATIM)

add_custom_target(list-kubespray-info
  COMMAND ${xtask} kubespray status
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
  USES_TERMINAL VERBATIM)

add_custom_target(clean-kubespray
  COMMAND ${xtask} kubespray clean
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
  COMMENT "Removing the Kubesprays that no lab uses"
  USES_TERMINAL VERBATIM)
