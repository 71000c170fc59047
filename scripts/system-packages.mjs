/** Finds the system's build requirements and installs what is missing when that is allowed. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run, StepError } from './support.mjs';

/** @typedef {'compiler' | 'cmake' | 'make' | 'eigen' | 'doctest' | 'chromium' | 'armCompiler' | 'armEmulator'} Requirement */

/**
 * @typedef {object} Manager
 * @property {string} command
 * @property {readonly string[]} install
 * @property {readonly string[]} [refresh]
 * @property {boolean} [asUser]
 * @property {Partial<Record<Requirement, string>>} names
 */

/**
 * How each package manager installs, and what it calls each requirement that it has. First found wins.
 *
 * @type {readonly Manager[]}
 */
const MANAGERS = [
  {
    command: 'apt-get',
    install: ['install', '-y', '--no-install-recommends'],
    refresh: ['update'],
    names: {
      compiler: 'g++',
      cmake: 'cmake',
      make: 'make',
      eigen: 'libeigen3-dev',
      doctest: 'doctest-dev',
      chromium: 'chromium',
      armCompiler: 'g++-aarch64-linux-gnu',
      armEmulator: 'qemu-user',
    },
  },
  {
    command: 'dnf',
    install: ['install', '-y'],
    names: {
      compiler: 'gcc-c++',
      cmake: 'cmake',
      make: 'make',
      eigen: 'eigen3-devel',
      doctest: 'doctest-devel',
      chromium: 'chromium',
    },
  },
  {
    command: 'pacman',
    install: ['-S', '--noconfirm', '--needed'],
    refresh: ['-Sy'],
    names: { compiler: 'gcc', cmake: 'cmake', make: 'make', eigen: 'eigen', doctest: 'doctest', chromium: 'chromium' },
  },
  {
    command: 'apk',
    install: ['add'],
    refresh: ['update'],
    names: {
      compiler: 'g++',
      cmake: 'cmake',
      make: 'make',
      eigen: 'eigen-dev',
      doctest: 'doctest-dev',
      chromium: 'chromium',
    },
  },
  {
    command: 'brew',
    install: ['install'],
    asUser: true,
    names: { compiler: 'llvm', cmake: 'cmake', make: 'make', eigen: 'eigen', doctest: 'doctest', chromium: 'chromium' },
  },
];

/** @type {Record<Requirement, string>} */
const TITLES = {
  compiler: 'a C++ compiler',
  cmake: 'CMake',
  make: 'make or ninja',
  eigen: 'Eigen 3.4',
  doctest: 'doctest',
  chromium: 'Chromium',
  armCompiler: 'a cross compiler for 64-bit ARM',
  armEmulator: 'qemu-user',
};

const CHROMIUM_COMMANDS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The C++ compiler that CMake will take: its own order of names. */
const compiler = process.env.CXX || ['c++', 'g++', 'clang++'].find(isCommand) || 'g++';

/**
 * Stops with the line to type when the compiler or CMake is missing or too old.
 *
 * @returns {string} the versions found, for display
 */
export function checkCompilers() {
  const gxx = output(compiler, ['--version']);
  if (gxx === undefined) throw new StepError(missing('compiler'));
  const isClang = gxx.includes('clang');
  const version = output(compiler, ['-dumpfullversion', '-dumpversion'])?.trim().split('\n')[0] ?? '';
  const oldest = isClang ? 14 : 11;
  if (!(Number.parseInt(version, 10) >= oldest)) {
    throw new StepError(
      `expected ${isClang ? 'Clang' : 'GCC'} ${oldest} or newer (C++20), got ${version || 'an unknown version'}, at '${compiler}'; ` +
        `name another compiler with CXX=… (and CC=…)`,
    );
  }
  const cmake = /version (\d+)\.(\d+)\S*/.exec(output('cmake', ['--version']) ?? '');
  if (!cmake) throw new StepError(missing('cmake'));
  if (Number(cmake[1]) < 3 || (Number(cmake[1]) === 3 && Number(cmake[2]) < 22)) {
    throw new StepError(`expected CMake 3.22 or newer, got ${cmake[0].slice(8)}`);
  }
  return `${isClang ? 'clang' : 'g++'} ${version}, cmake ${cmake[0].slice(8)}`;
}

/**
 * Makes sure that the requirements are there: finds them, or installs them, or stops with the line to type.
 *
 * @param {readonly Requirement[]} requirements
 * @returns {Promise<string>} what was done, for display
 */
export async function ensureInstalled(requirements) {
  const absent = requirements.filter((requirement) => !isInstalled(requirement));
  if (absent.length === 0) return 'found';
  const manager = findManager();
  const prefix = manager && privilege(manager);
  if (!manager || !prefix) throw new StepError(missing(...absent));
  const packages = absent.flatMap((requirement) => manager.names[requirement] ?? []);
  const env = { DEBIAN_FRONTEND: 'noninteractive', HOMEBREW_NO_AUTO_UPDATE: '1' };
  const [command, ...before] = [...prefix, manager.command];
  const install = () => run(command, [...before, ...manager.install, ...packages], { env });
  try {
    await install();
  } catch (first) {
    if (!manager.refresh) throw first;
    // A package manager with no or old lists cannot find the package: refresh them once and try again.
    await run(command, [...before, ...manager.refresh], { env });
    await install();
  }
  const still = absent.filter((requirement) => !isInstalled(requirement));
  if (still.length > 0) {
    throw new StepError(`expected ${titles(still)} after installing ${packages.join(' ')}, got nothing usable`);
  }
  return `installed ${packages.join(' ')}`;
}

/**
 * @param {Requirement} requirement
 * @returns {boolean}
 */
export function isInstalled(requirement) {
  switch (requirement) {
    case 'compiler':
      return isCommand(compiler);
    case 'cmake':
      return isCommand('cmake');
    case 'make':
      return isCommand('make') || isCommand('ninja') || isCommand('gmake');
    case 'eigen':
      return cmakeFinds('Eigen3', '3.4');
    case 'doctest':
      return cmakeFinds('doctest', '2.4');
    case 'chromium':
      return CHROMIUM_COMMANDS.some(isCommand);
    case 'armCompiler':
      return isCommand('aarch64-linux-gnu-g++');
    case 'armEmulator':
      return isCommand('qemu-aarch64');
  }
}

/**
 * @param {Requirement} requirement
 * @returns {boolean} whether it is there or the system's package manager has it
 */
export function isAvailable(requirement) {
  return isInstalled(requirement) || findManager()?.names[requirement] !== undefined;
}

/** @param {...Requirement} requirements */
function missing(...requirements) {
  const subject = titles(requirements);
  const manager = findManager();
  if (!manager) return `expected ${subject}, got none; install it with your system's package manager and try again`;
  const isRoot = process.getuid?.() === 0;
  const needsRoot = !manager.asUser && !isRoot;
  const words = [
    manager.command,
    ...manager.install,
    ...requirements.flatMap((requirement) => manager.names[requirement] ?? []),
  ];
  const line = [...(needsRoot && isCommand('sudo') ? ['sudo'] : []), ...words].join(' ');
  const who = needsRoot && !isCommand('sudo') ? ' as root' : '';
  return `expected ${subject}, got none; type this${who} and try again:\n\n    ${line}\n`;
}

/** @param {readonly Requirement[]} requirements */
function titles(requirements) {
  return requirements.map((requirement) => TITLES[requirement]).join(' and ');
}

function findManager() {
  return MANAGERS.find(({ command }) => isCommand(command));
}

/**
 * What to put before the package manager's command so that it may install, or undefined when we may not.
 *
 * @param {{ asUser?: boolean }} manager
 * @returns {string[] | undefined}
 */
function privilege(manager) {
  if (manager.asUser || process.getuid?.() === 0) return [];
  const passwordless = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0;
  return passwordless ? ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive'] : undefined;
}

/**
 * Asks CMake itself, so that the answer is the one the build will get (CMAKE_PREFIX_PATH, Homebrew, a user's own copy).
 *
 * @param {string} name
 * @param {string} version
 */
function cmakeFinds(name, version) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tersor-find-'));
  try {
    writeFileSync(
      path.join(folder, 'CMakeLists.txt'),
      `cmake_minimum_required(VERSION 3.22)\nproject(find NONE)\nset(CMAKE_SIZEOF_VOID_P 8)\nfind_package(${name} ${version} REQUIRED NO_MODULE)\n`,
    );
    return spawnSync('cmake', ['-S', folder, '-B', path.join(folder, 'build')], { stdio: 'ignore' }).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} name */
function isCommand(name) {
  const places = name.includes('/') ? [''] : (process.env.PATH ?? '').split(path.delimiter);
  return places.some((place) => {
    try {
      accessSync(path.resolve(place, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function output(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout : undefined;
}
