"""Storage elements of a configuration, as sites have them, and the replicas of a file on them."""

from typing import Any

from agents.data.catalogue import FileRecord
from agents.data.elements import Elements
from ce_backends.cfg import parse

LFN = "/labvo/user/l/labuser/a.root"
ELEMENTS = """
Resources
{
  StorageElementBases
  {
    EOS
    {
      BackendType = EOS
      SEType = T0D1
      GFAL2_XROOT
      {
        Host = eos.cern.ch
        Port = 1094
        Protocol = root
        Path = /eos/lab
      }
      GFAL2_HTTPS
      {
        Host = eos.cern.ch
        Port = 8443
        Protocol = https
        Path = /eos/lab
      }
    }
  }
  StorageElements
  {
    CERN-disk
    {
      BaseSE = EOS
      AccessProtocols = https, root
      WriteProtocols = https
    }
    CERN-tape
    {
      BaseSE = EOS
      SEType = T1D0
    }
    CERN-archive
    {
      BaseSE = EOS
    }
    PIC-disk
    {
      ReadAccess = Active
      WriteAccess = InActive
      DIP
      {
        Host = pic.es
        Port = 9148
        Path = /DataManagement/StorageElement
      }
      Weird
      {
        PluginName = Echo
        Protocol = gsiftp
        Host = echo.stfc.ac.uk
      }
      Odd
      {
        PluginName = Mars
        Protocol = mars
        Host = mars.example
      }
    }
    GENEVA-disk
    {
      UseCatalogURL = True
      GFAL2_SRM2
      {
        Host = srm.ge.ch
        Port = 8446
        WSUrl = /srm/managerv2?SFN=
        Path = /dpm
      }
    }
    FAILOVER
    {
      BaseSE = EOS
    }
  }
  StorageElementGroups
  {
    SE-USER = PIC-disk, CERN-disk, GENEVA-disk
    Tier1-Failover = FAILOVER
  }
  Sites
  {
    LCG
    {
      LCG.CERN.ch
      {
        SE = CERN-disk, CERN-tape
      }
      LCG.Geneva.ch
      {
        SE = GENEVA-disk
      }
      LCG.PIC.es
      {
        SE = PIC-disk
        AssociatedSEs
        {
          SE-USER = PIC-disk
        }
      }
    }
  }
}
Operations
{
  Defaults
  {
    DataManagement
    {
      AccessProtocols = root, https, dips
      WriteProtocols = https, dips
      SEsUsedForFailover = Tier1-Failover
      SEsUsedForArchive = CERN-archive
    }
  }
}
"""
BY_SRM = ELEMENTS.replace("AccessProtocols = root, https, dips", "AccessProtocols = srm")


def elements(site: str = "LCG.CERN.ch", text: str = ELEMENTS, **more: Any) -> Elements:
    return Elements(parse(text, "test"), site=site, vo="labvo", **more)


def record(*names: str, **pfns: str) -> FileRecord:
    return FileRecord(lfn=LFN, size_bytes=1, adler32=1, replicas={**dict.fromkeys(names, ""), **pfns})
