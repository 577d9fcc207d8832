import TestTraits
import Testing

@testable import FinDoctor

@Suite("Metrics: the unit is read from the path of the cgroup", .onThreads)
struct UnitNameTests {
  private static let digits = String(repeating: "0123456789abcdef", count: 4)
  private static let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1d2e_3f.slice"

  @Test(
    "systemd and cgroupfs drivers, containerd, cri-o, docker, podman",
    arguments: [
      ("/system.slice/nginx.service", "nginx.service"),
      ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
      ("/system.slice/docker-\(digits).scope", "docker-0123456789ab"),
      ("/docker/\(digits)", "docker-0123456789ab"),
      ("/docker/\(digits)/system.slice/nginx.service", "docker-0123456789ab"),
      ("/machine.slice/libpod-\(digits).scope/container", "libpod-0123456789ab"),
      ("\(pod)/cri-containerd-\(digits).scope", "cri-containerd-0123456789ab"),
      ("\(pod)/crio-\(digits).scope", "crio-0123456789ab"),
      ("\(pod)/crio-conmon-\(digits).scope", "crio-conmon-0123456789ab"),
      ("/kubepods/burstable/pod1d2e-3f/\(digits)", "kubepods-0123456789ab"),
      ("/../../kubepods/besteffort/pod1d2e-3f/\(digits)", "kubepods-0123456789ab"),
      ("/system.slice", "-"), ("/", "-"), ("", "-"),
    ])
  func paths(path: String, name: String) {
    #expect(UnitName.name(ofCgroup: path) == name)
  }

  @Test("a container of Kubernetes has the names from /var/log/containers, and keeps them when its pod is replaced")
  func kubernetes() {
    let names = ContainerNames(files: [
      "api-6d4cf56db6-x7z2k_shop_web-\(Self.digits).log", "not-a-log", "a_b-\(Self.digits).log", "___-.log",
    ])
    #expect(names.names.count == 1)
    for path in ["\(Self.pod)/cri-containerd-\(Self.digits).scope", "/kubepods/burstable/pod1/\(Self.digits)"] {
      #expect(UnitName.name(ofCgroup: path, names) == "shop/api/web")
    }
    // The process that watches a container is not in it.
    #expect(UnitName.name(ofCgroup: "\(Self.pod)/crio-conmon-\(Self.digits).scope", names) != "shop/api/web")
  }

  @Test(
    "a pod's name without what Kubernetes generates",
    arguments: [
      ("api-6d4cf56db6-x7z2k", "api"), ("node-exporter-x7z2k", "node-exporter"), ("redis-0", "redis"),
      ("redis-12", "redis"), ("coredns", "coredns"), ("my-batch", "my-batch"), ("etcd-node1", "etcd-node1"), ("", ""),
      ("-", "-"), ("web-front-zz5xw", "web-front"),
    ])
  func workloads(pod: String, workload: String) {
    #expect(ContainerNames.workload(ofPod: pod) == workload)
  }
}
