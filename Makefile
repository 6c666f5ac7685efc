# For those who type make. Each target is a few calls of `cargo xtask`, which does the work.
#
#   make cloud-cluster-deploy ARGS=--yes

# The cluster: a name under inventories/, or the path of a cluster file.
CLUSTER ?= cloud-cluster
# Words for cargo xtask itself: --yes installs all that is missing without asking.
ARGS ?=

# cargo could not use the job server that make gives its children.
xtask = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cargo xtask $(ARGS)

.PHONY: help cloud-cluster-deploy cloud-cluster-stop cloud-cluster-status cloud-cluster-destroy cloud-cluster-check
.DEFAULT_GOAL := help

help:
	@echo 'make cloud-cluster-deploy   Kubernetes on the machines of a cluster, from its cluster file on'
	@echo 'make cloud-cluster-stop     stops its machines; cloud-cluster-deploy starts the same cluster again'
	@echo 'make cloud-cluster-status   machines, nodes, versions, kubeconfig'
	@echo 'make cloud-cluster-destroy  removes all of it'
	@echo 'make cloud-cluster-check    everything that can be proven without a machine'
	@echo
	@echo 'CLUSTER=$(CLUSTER)  a name under inventories/, or the path of a cluster file'
	@echo 'ARGS=                  words for cargo xtask: --yes installs all that is missing without asking'
	@echo
	@echo 'cargo xtask shows all there is; cmake has install-kubespray, list-kubespray-info, clean-kubespray'

# The eight steps; what can be wrong is found in the first, before a machine is started.
cloud-cluster-deploy:
	$(xtask) cloud start '$(CLUSTER)'

cloud-cluster-stop cloud-cluster-status cloud-cluster-destroy: cloud-cluster-%:
	$(xtask) cloud $* '$(CLUSTER)'

cloud-cluster-check:
	$(xtask) check '$(CLUSTER)'
	$(xtask) kubespray fetch --cluster '$(CLUSTER)'
	$(xtask) inventory render '$(CLUSTER)'
	$(xtask) inventory check '$(CLUSTER)' --require-checkout
