/**
 * The files of a container's cgroup as kernels write them. Those of v1 were recorded on Linux 6.18;
 * those of v2 follow Documentation/admin-guide/cgroup-v2.rst and psi.rst of the same kernel.
 */
export const V1_FILES: Readonly<Record<string, string>> = {
  'cpuacct.usage': '20500123456\n',
  'cpuacct.usage_user': '18300100000\n',
  'cpuacct.usage_sys': '2200023456\n',
  'cpu.stat':
    'nr_periods 310\nnr_throttled 205\nthrottled_time 14200300400\nnr_bursts 0\nburst_time 0\n',
  'cpu.shares': '512\n',
  'cpu.cfs_quota_us': '20000\n',
  'cpu.cfs_period_us': '100000\n',
  'memory.usage_in_bytes': '41943040\n',
  'memory.max_usage_in_bytes': '62914560\n',
  'memory.failcnt': '17\n',
  'memory.memsw.failcnt': '4\n',
  'memory.kmem.usage_in_bytes': '1204224\n',
  'memory.limit_in_bytes': '67108864\n',
  'memory.soft_limit_in_bytes': '9223372036854771712\n',
  'memory.memsw.limit_in_bytes': '100663296\n',
  'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  'memory.stat': `cache 30000000
rss 9000000
rss_huge 0
shmem 8192
mapped_file 4096000
dirty 69632
writeback 0
workingset_refault_anon 0
workingset_refault_file 17559
swap 0
swapcached 0
pgpgin 115104
pgpgout 108923
pgfault 162676
pgmajfault 12
inactive_anon 0
active_anon 9000000
inactive_file 20000000
active_file 10000000
unevictable 0
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 100663296
total_cache 31457280
total_rss 9437184
total_rss_huge 0
total_shmem 8192
total_mapped_file 4194304
total_dirty 69632
total_writeback 0
total_workingset_refault_anon 0
total_workingset_refault_file 17559
total_swap 2097152
total_swapcached 0
total_pgpgin 115204
total_pgpgout 109023
total_pgfault 163000
total_pgmajfault 15
total_inactive_anon 0
total_active_anon 9437184
total_inactive_file 20971520
total_active_file 10485760
total_unevictable 0
`,
  'blkio.throttle.io_service_bytes_recursive': `254:0 Read 8192
254:0 Write 1048576
254:0 Sync 1056768
254:0 Async 0
254:0 Discard 0
254:0 Total 1056768
8:16 Read 4096
8:16 Write 0
8:16 Total 4096
Total 1060864
`,
  'blkio.throttle.io_serviced_recursive': `254:0 Read 2
254:0 Write 16
254:0 Sync 18
254:0 Total 18
8:16 Read 1
8:16 Total 1
Total 19
`,
  'pids.current': '7\n',
  'pids.max': 'max\n',
  'hugetlb.2MB.usage_in_bytes': '4194304\n',
  'hugetlb.2MB.max_usage_in_bytes': '6291456\n',
};

export const V2_FILES: Readonly<Record<string, string>> = {
  'cpu.stat': `usage_usec 20500123
user_usec 18300100
system_usec 2200023
nice_usec 0
core_sched.force_idle_usec 0
nr_periods 310
nr_throttled 205
throttled_usec 14200300
nr_bursts 0
burst_usec 0
`,
  'cpu.max': '20000 100000\n',
  'cpu.weight': '100\n',
  'cpu.pressure': `some avg10=12.34 avg60=5.60 avg300=1.02 total=8712345
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
`,
  'memory.pressure': `some avg10=0.00 avg60=0.10 avg300=0.00 total=3100
full avg10=0.00 avg60=0.05 avg300=0.00 total=1500
`,
  'io.pressure': `some avg10=1.00 avg60=0.00 avg300=0.00 total=2000000
full avg10=1.00 avg60=0.00 avg300=0.00 total=1000000
`,
  'memory.current': '41943040\n',
  'memory.peak': '62914560\n',
  'memory.max': '67108864\n',
  'memory.low': '0\n',
  'memory.swap.current': '2097152\n',
  'memory.swap.max': '33554432\n',
  'memory.events': 'low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n',
  'memory.stat': `anon 9437184
file 31457280
kernel 1204224
kernel_stack 114688
pagetables 163840
sec_pagetables 0
percpu 1920
sock 4096
vmalloc 0
shmem 8192
zswap 0
zswapped 0
file_mapped 4194304
file_dirty 69632
file_writeback 0
swapcached 0
anon_thp 0
file_thp 0
shmem_thp 0
inactive_anon 0
active_anon 9437184
inactive_file 20971520
active_file 10485760
unevictable 0
slab_reclaimable 500000
slab_unreclaimable 419632
slab 919632
workingset_refault_anon 0
workingset_refault_file 17559
pgscan 0
pgsteal 0
pgfault 163000
pgmajfault 15
pgrefill 0
`,
  'io.stat': `254:0 rbytes=8192 wbytes=1048576 rios=2 wios=16 dbytes=0 dios=0
7:0
8:16 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0
`,
  'pids.current': '7\n',
  'pids.max': '100\n',
  'hugetlb.2MB.current': '4194304\n',
};
