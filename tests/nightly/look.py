"""Prints what a deploy leaves on a machine as one JSON object: files, users, units, settings of the kernel, images.

Runs on the machine. Keys and certificates are described by their purpose: their bytes differ at each deploy.
"""

import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess

PLACES = [
    "/etc/cni",
    "/etc/containerd",
    "/etc/crictl.yaml",
    "/etc/etcd.env",
    "/etc/hosts",
    "/etc/kubernetes",
    "/etc/modules-load.d",
    "/etc/nerdctl",
    "/etc/resolv.conf",
    "/etc/ssl/etcd",
    "/etc/sysctl.conf",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/etc/systemd/resolved.conf",
    "/etc/bash_completion.d",
    "/opt/cni",
    "/root/.kube",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
]
# What kubectl remembers.
LEFT_OUT = ["/root/.kube/cache"]
# Services that come and go with who is logged in, and for who asked for something a moment ago.
FLEETING = re.compile(r"(user@\d+|systemd-(hostnamed|localed|timedated|machined))\.service")
LONGEST_TEXT = 64 * 1024


def said(*command, data=None):
    return subprocess.run(command, input=data, capture_output=True, text=True).stdout.strip()


def certificates(text):
    found = []
    for one in re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S):
        extensions = "basicConstraints,keyUsage,extendedKeyUsage,subjectAltName"
        found.append(said("openssl", "x509", "-noout", "-subject", "-issuer", "-ext", extensions, data=one))
    return "\n".join(found)


def content(path):
    data = open(path, "rb").read()
    try:
        text = data.decode() if len(data) <= LONGEST_TEXT else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return hashlib.sha256(data).hexdigest()
    if "PRIVATE KEY" in text or "-----BEGIN PUBLIC KEY" in text:
        return "a key" + ("\n" + certificates(text) if "BEGIN CERTIFICATE" in text else "")
    if "BEGIN CERTIFICATE" in text:
        return certificates(text)
    # Keys and certificates inside of kubeconfigs, tokens of kubeadm.
    text = re.sub(r"(data|token|certificateKey): \S+", r"\1: …", text)
    text = re.sub(r"(caCertHashes:\s+- )\S+", r"\1…", text)
    text = re.sub(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", "…", text)
    # The network of a machine's pods: the first to join gets the first.
    return re.sub(r'("subnet":\s*)"[^"]*"', r'\1"…"', text)


def entry(path):
    status = os.lstat(path)
    name = lambda kind, number: kind(number)[0] if number else "root"
    described = {"mode": oct(status.st_mode), "owner": name(pwd.getpwuid, status.st_uid), "group": name(grp.getgrgid, status.st_gid)}
    if stat.S_ISLNK(status.st_mode):
        described["to"] = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        described["content"] = content(path)
    return described


def files():
    found = {}
    for place in PLACES:
        if os.path.lexists(place):
            found[place] = entry(place)
        for folder, folders, names in os.walk(place):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in LEFT_OUT]
            for name in folders + names:
                found[os.path.join(folder, name)] = entry(os.path.join(folder, name))
    return found


def units():
    running = said("systemctl", "list-units", "--plain", "--no-legend", "--state=running", "--type=service,socket,timer")
    states = said("systemctl", "list-unit-files", "--no-legend", "--type=service,timer,swap,target")
    names = (line.split()[0] for line in running.splitlines())
    return {"running": sorted(name for name in names if not FLEETING.fullmatch(name)), "files": sorted(" ".join(line.split()) for line in states.splitlines() if "transient" not in line)}


def settings():
    names = set()
    for folder in ["/etc/sysctl.d"]:
        for name in sorted(os.listdir(folder)):
            names.update(re.findall(r"^\s*([a-z][\w.-]*)\s*=", open(os.path.join(folder, name)).read(), re.M))
    return {name: said("sysctl", "-n", name) for name in sorted(names)}


def images():
    output = said("/usr/local/bin/nerdctl", "-n", "k8s.io", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}")
    return sorted(set(line for line in output.splitlines() if "<none>" not in line))


def users():
    return {user.pw_name: [user.pw_dir, user.pw_shell, grp.getgrgid(user.pw_gid).gr_name] for user in pwd.getpwall()}


print(json.dumps({"files": files(), "units": units(), "settings": settings(), "images": images(), "users": users()}))
