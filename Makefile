# For those who type make. Each target is a few calls of `cargo xtask`, which does the work.
#
#   make cloud-cluster-deploy ARGS=--yes

# The cluster: a name under inventories/, or the path of a cluster file.
CLUSTER ?= cloud-cluster
# Words for cargo xtask itself: --yes installs what is missing without asking.
ARGS ?=

# cargo could not use the job server that make gives its children.
xtask = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cargo xtask $(ARGS)

.PHONY: help cloud-cluster-deploy cloud-cluster-check
.DEFAULT_GOAL := help

help:
	@echo 'make cloud-cluster-deploy   Kubernetes on the machines of a cluster, from its cluster file on'
	@echo 'make cloud-cluster-check    everything that can be proven without a machine'
	@echo
	@echo 'CLUSTER=$(CLUSTER)  a name under inventories/, or the path of a cluster file'
	@echo 'ARGS=                  words for cargo xtask: --yes installs what is missing without asking'
	@echo
	@echo 'cargo xtask shows all there is; cmake has install-kubespray, list-kubespray-info, clean-kubespray'

# What can be wrong is found before a machine is started.
cloud-cluster-deploy: cloud-cluster-check
	$(xtask) lab up '$(CLUSTER)'
	$(xtask) deploy '$(CLUSTER)'

cloud-cluster-check:
	$(xtask) check '$(CLUSTER)'
	$(xtask) kubespray fetch --cluster '$(CLUSTER)'
	$(xtask) inventory render '$(CLUSTER)'
	$(xtask) inventory check '$(CLUSTER)' --require-checkout
